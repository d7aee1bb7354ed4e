"""Whether an object reports that its pods, or its address, are available.

The engine's refresh waits only for the kinds in `SETTLED` (`awaitRead` in
pkg/await/awaiters.go of pulumi-kubernetes 4.25). The rules are those of `kubectl
rollout status` (pkg/polymorphichelpers/rollout_status.go of k8s.io/kubectl).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Object = Mapping[str, Any]
Judge = Callable[[Object, Object], bool]
APPS = "apps"


def settled(live: Object) -> bool:
    """Return False if it is not ready, or if the object alone cannot show it."""
    group = str(live["apiVersion"]).rpartition("/")[0]
    judge = SETTLED.get((group, str(live["kind"])))
    if judge is None:
        return True
    status = live.get("status") or {}
    if group == APPS and status.get("observedGeneration", 0) < _generation(live):
        return False
    return judge(live.get("spec") or {}, status)


def _generation(live: Object) -> int:
    found: int = live["metadata"].get("generation", 0)
    return found


def _deployment(spec: Object, status: Object) -> bool:
    wanted: int = spec.get("replicas", 1)
    there: int = status.get("replicas", 0)
    updated: int = status.get("updatedReplicas", 0)
    available: int = status.get("availableReplicas", 0)
    return wanted <= updated <= available and there <= updated


def _stateful_set(spec: Object, status: Object) -> bool:
    wanted: int = spec.get("replicas", 1)
    ready: int = status.get("readyReplicas", 0)
    same = status.get("updateRevision") == status.get("currentRevision")
    return wanted <= ready and same


def _daemon_set(_: Object, status: Object) -> bool:
    if "desiredNumberScheduled" not in status:
        return False
    wanted: int = status["desiredNumberScheduled"]
    updated: int = status.get("updatedNumberScheduled", 0)
    available: int = status.get("numberAvailable", 0)
    return wanted <= updated and wanted <= available


def _job(_: Object, status: Object) -> bool:
    conditions = status.get("conditions") or ()
    return any(c["type"] == "Complete" and c["status"] == "True" for c in conditions)


def _service(spec: Object, status: Object) -> bool:
    addresses = (status.get("loadBalancer") or {}).get("ingress")
    return spec.get("type") != "LoadBalancer" or bool(addresses)


def _cannot_tell(_: Object, __: Object) -> bool:
    return False


SETTLED: Mapping[tuple[str, str], Judge] = {
    (APPS, "DaemonSet"): _daemon_set,
    (APPS, "Deployment"): _deployment,
    (APPS, "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
    ("", "Pod"): _cannot_tell,
    ("", "Service"): _service,
    ("networking.k8s.io", "Ingress"): _cannot_tell,
}
"""By API group and kind: whether specification and status agree."""
