"""Pods that a change starts anew, and how: strategy, surge, longest drain."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from slipway import hidden_values
from slipway.preview.changes import is_same, is_secret, shown
from slipway.preview.difference import Difference, differences
from slipway.preview.report import PathChange, Restart
from slipway.rendering import manifests
from slipway.rendering.recorder import Resource

KINDS = ("Deployment", "StatefulSet", "DaemonSet")
GRACE_SECONDS = 30
"""Kubernetes' own, where a pod names none."""
_APPS = "kubernetes:apps/"
_SCALERS = {
    "HorizontalPodAutoscaler": ("minReplicas", "maxReplicas"),
    "ScaledObject": ("minReplicaCount", "maxReplicaCount"),
}


def restarts(
    stack: str,
    base: Sequence[Resource],
    head: Sequence[Resource],
    replaced: Collection[tuple[str, str]] = (),
) -> Iterator[Restart]:
    """Workloads there before and after whose pods are made anew.

    `replaced`: kinds and names of objects that are replaced as a whole.
    """
    before, after = _workloads(base), _workloads(head)
    for key in sorted(before.keys() & after.keys()):
        found = (
            []
            if is_same(before[key], after[key])
            else _of_pods(before[key], after[key])
        )
        if found or key in replaced:
            secret = is_secret(before[key]) or is_secret(after[key])
            yield _restart(
                stack,
                (before[key], after[key]),
                base,
                () if secret else shown(found),
                whole=key in replaced,
            )


def _of_pods(before: Resource, after: Resource) -> list[Difference]:
    inputs = (hidden_values.hidden(one.inputs) for one in (before, after))
    old, new = (one["spec"]["template"] for one in inputs)
    return list(differences(old, new, "spec.template"))


def _workloads(resources: Iterable[Resource]) -> dict[tuple[str, str], Resource]:
    return {
        (kind, manifests.shown_name(r)): r
        for r in resources
        if r.type.startswith(_APPS) and (kind := r.type.rpartition(":")[2]) in KINDS
    }


def _restart(
    stack: str,
    pair: tuple[Resource, Resource],
    base: Sequence[Resource],
    changes: tuple[PathChange, ...],
    *,
    whole: bool,
) -> Restart:
    before, after = pair
    kind, spec = after.type.rpartition(":")[2], after.inputs["spec"]
    least, most = _replicas(kind, before, base)
    strategy, surge, unavailable = _strategy(kind, spec)
    grace = (r.inputs["spec"]["template"]["spec"] for r in (before, after))
    return Restart(
        stack=stack,
        kind=kind,
        name=manifests.shown_name(after),
        replicas_min=least,
        replicas_max=most,
        strategy="Replaced" if whole else strategy,
        surge="0" if whole else surge,
        unavailable="all" if whole else unavailable,
        drain_seconds=max(
            int(pod.get("terminationGracePeriodSeconds", GRACE_SECONDS))
            for pod in grace
        ),
        changes=changes,
    )


def _strategy(kind: str, spec: Mapping[str, Any]) -> tuple[str, str, str]:
    """Name, surge and unavailable pods, with Kubernetes' defaults."""
    given = spec.get("strategy" if kind == "Deployment" else "updateStrategy") or {}
    type_, rolling = (
        given.get("type", "RollingUpdate"),
        given.get("rollingUpdate") or {},
    )
    if type_ == "Recreate":
        return type_, "0", "all"
    if type_ == "OnDelete":
        return type_, "0", "those deleted by hand"
    default = ("25%", "25%") if kind == "Deployment" else ("0", "1")
    surge = rolling.get("maxSurge", default[0])
    return type_, str(surge), str(rolling.get("maxUnavailable", default[1]))


def _replicas(
    kind: str, workload: Resource, resources: Iterable[Resource]
) -> tuple[int | None, int | None]:
    """Bounds of the autoscaler that names the workload, else its own number."""
    if kind == "DaemonSet":
        return None, None
    for other in resources:
        names = _SCALERS.get(other.type.rpartition(":")[2])
        if names and _targets(other, workload):
            least, most = (other.inputs["spec"].get(key) for key in names)
            return int(least or 0), None if most is None else int(most)
    own = int(workload.inputs["spec"].get("replicas", 1))
    return own, own


def _targets(scaler: Resource, workload: Resource) -> bool:
    metadata, other = scaler.inputs["metadata"], workload.inputs["metadata"]
    target = scaler.inputs["spec"]["scaleTargetRef"]["name"]
    return (metadata.get("namespace"), target) == (
        other.get("namespace"),
        other.get("name"),
    )
