"""What selects, targets or governs an object is found as by looking at all pairs."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.policy.owners import SELECTING, TARGETING, Owners
from slipway.rendering.render import render
from tests.support import rendered as r

Object = dict[str, Any]


def belongs(other: Object, one: Object) -> bool:
    """The definition, pair by pair."""
    kind, spec = other["kind"], other.get("spec", {})
    namespace = other["metadata"].get("namespace")
    if kind in SELECTING and one["kind"] == "Namespace":
        return bool(namespace == one["metadata"]["name"])
    if namespace != one["metadata"].get("namespace"):
        return False
    if kind in SELECTING:
        selector, labels = SELECTING[kind]
        wanted = spec.get(selector, {}).get(labels, {})
        template = one.get("spec", {}).get("template", {})
        has = template.get("metadata", {}).get("labels", {})
        return bool(wanted) and wanted.items() <= has.items()
    if kind in TARGETING:
        targets = [(t["kind"], t["name"]) for t in spec.get("targetRefs", [])]
        return (one["kind"], one["metadata"]["name"]) in targets
    return bool(kind == "Gateway" and one["kind"] == "EnvoyProxy")


def policy(name: str, labels: dict[str, str], namespace: str = "a") -> Object:
    spec = {"podSelector": {"matchLabels": labels}}
    metadata = {"name": name, "namespace": namespace}
    return {"kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def workload(labels: dict[str, str], namespace: str = "a") -> Object:
    spec = {"template": {"metadata": {"labels": labels}}}
    metadata = {"name": "w", "namespace": namespace}
    return {"kind": "Deployment", "metadata": metadata, "spec": spec}


MADE = [
    policy("one", {"app": "x", "part": "1"}),
    policy("both", {"app": "x"}),
    policy("all", {}),
    policy("elsewhere", {"app": "x"}, "b"),
    workload({"app": "x", "part": "1"}),
    workload({"app": "x", "part": "2"}),
    workload({"part": "1"}),
    {"kind": "Namespace", "metadata": {"name": "a"}},
    {"kind": "Example", "metadata": {"name": "e"}, "spec": {"template": "text"}},
]


def test_all_of_a_selectors_labels_count() -> None:
    owners = Owners(MADE)
    found = [[o["metadata"]["name"] for o in owners.of(one)] for one in MADE[4:]]
    assert found == [["one", "both"], ["both"], [], ["one", "both", "all"], []]


@pytest.mark.parametrize("stack", ["models.gpu", "platform.mine"])
def test_a_stacks_objects_are_related_as_all_pairs_would_be(stack: str) -> None:
    made = render(stack, images=r.IMAGES).manifests
    owners = Owners(made)
    found = [owners.of(one) for one in made]
    assert found == [[other for other in made if belongs(other, one)] for one in made]
    assert any(found)
