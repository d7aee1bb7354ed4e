"""What the cluster's tests ask by kubectl, without a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.support.kube import Kube

POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "a", "namespace": "models", "labels": {"x": "y"}},
    "spec": {},
}
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "a"},
    "rules": [],
}


@pytest.mark.parametrize("wanted", [[ROLE, POLICY], [POLICY, ROLE], [POLICY]])
def test_objects_come_in_the_order_in_which_they_were_named(
    monkeypatch: pytest.MonkeyPatch, wanted: list[dict[str, Any]]
) -> None:
    said: list[Any] = []

    def kubectl(_: Kube, *words: str, text: str = "") -> CompletedProcess[str]:
        assert words == ("get", "-f", "-", "-o", "json")
        said[:] = json.loads(text)["items"]
        live = [
            {**one, "status": {}}
            for one in (POLICY, ROLE)
            if one["kind"] in {it["kind"] for it in said}
        ]
        got = {"kind": "List", "items": live} if len(live) > 1 else live[0]
        return CompletedProcess(words, 0, json.dumps(got))

    monkeypatch.setattr(Kube, "run", kubectl)
    found = Kube(Path("kubeconfig")).live(wanted)
    assert found == [{**one, "status": {}} for one in wanted]
    # What is not known of an object is not said of it.
    assert {key for one in said for key in one} == {"apiVersion", "kind", "metadata"}
    assert {key for one in said for key in one["metadata"]} <= {"name", "namespace"}
