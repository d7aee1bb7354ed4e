"""Finds Kubernetes objects that select, target or govern another one.

It uses the names in them, so the time grows linearly with the number of objects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

Object = dict[str, Any]
SELECTING = {
    "PodDisruptionBudget": ("selector", "matchLabels"),
    "NetworkPolicy": ("podSelector", "matchLabels"),
}
"""Kinds that select pods by labels, and where the labels stand in their spec."""
TARGETING = ("SecurityPolicy", "BackendTrafficPolicy")
"""Kinds that name what they are about in spec.targetRefs."""
_Label = tuple[str, str]
_Key = tuple[object, ...]


class Owners:
    """The objects of one stack, by what they are about."""

    def __init__(self, manifests: Iterable[Object]) -> None:
        self._all = list(manifests)
        self._at: dict[_Key, list[int]] = {}
        wanted = {n: _wanted(o) for n, o in enumerate(self._all)}
        # Each selector is kept by its rarest label alone, as it needs all of them.
        uses = Counter(label for some in wanted.values() for label in some.items())
        for number, one in enumerate(self._all):
            rarest = min(wanted[number].items(), key=uses.__getitem__, default=None)
            for key in _keys(one, rarest):
                self._at.setdefault(key, []).append(number)

    def of(self, one: Object) -> list[Object]:
        """What selects, targets or governs this object, in the order of the stack."""
        kind, metadata = one["kind"], one["metadata"]
        namespace = metadata.get("namespace")
        labels = _pod_labels(one)
        keys: list[_Key] = [("target", namespace, kind, metadata.get("name"))]
        keys += [("label", namespace, *label) for label in labels.items()]
        if kind == "Namespace":
            keys.append(("in", metadata.get("name")))
        if kind == "EnvoyProxy":
            keys.append(("gateway", namespace))
        found = {number for key in keys for number in self._at.get(key, ())}
        others = [self._all[number] for number in sorted(found)]
        if kind == "Namespace":
            return others
        return [it for it in others if _wanted(it).items() <= labels.items()]


def _keys(one: Object, rarest: _Label | None) -> Iterable[_Key]:
    kind, namespace = one["kind"], one["metadata"].get("namespace")
    if kind in SELECTING:
        yield "in", namespace
        if rarest is not None:
            yield "label", namespace, *rarest
    if kind in TARGETING:
        for target in _targets(one):
            yield "target", namespace, target.get("kind"), target["name"]
    if kind == "Gateway":
        yield "gateway", namespace


def _targets(one: Object) -> Iterable[Object]:
    """Targets whose names are known: a preview lacks what is known later."""
    named = _mapping(one, "spec").get("targetRefs")
    for target in named if isinstance(named, list) else ():
        if isinstance(target, dict) and all(
            isinstance(target.get(key), str) for key in ("name", "kind")
        ):
            yield target


def _wanted(one: Object) -> Mapping[str, str]:
    """Labels that the object selects pods by; empty if it selects none."""
    if one["kind"] not in SELECTING:
        return {}
    return _labels(one, "spec", *SELECTING[one["kind"]])


def _pod_labels(one: Object) -> Mapping[str, str]:
    return _labels(one, "spec", "template", "metadata", "labels")


def _labels(value: Any, *path: str) -> Mapping[str, str]:
    """Return labels; none of them if one is no text, as no object can have it."""
    found = _mapping(value, *path)
    return found if all(isinstance(text, str) for text in found.values()) else {}


def _mapping(value: Any, *path: str) -> Mapping[str, Any]:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
