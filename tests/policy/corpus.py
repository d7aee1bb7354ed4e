"""For each rule an object that keeps it and one that does not: Kubernetes and others.

Each bad object is the good one of its kind with one change. The cluster tier shows the
same objects to a real API server, so all of them are valid.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
NAMESPACE = "models"
NAME = "example"
DIGEST = "sha256:" + "0123456789abcdef" * 4
IMAGE = f"registry.example.com/team/server@{DIGEST}"
SELECTOR = {
    "app.kubernetes.io/name": "model-server",
    "app.kubernetes.io/instance": NAME,
}
LABELS = {**SELECTOR, "app.kubernetes.io/part-of": "slipway"}
KEY_ID = "AKIA" + "A1B2" * 4


@dataclass(frozen=True)
class Case:
    """One rule's two objects."""

    rule: str
    good: Object
    bad: Object
    good_related: Object = field(default_factory=dict)
    """Other objects by kind, for rules that look at them."""
    bad_related: Object = field(default_factory=dict)
    settings: Object = field(default_factory=dict)


def changed(base: Any, change: Any) -> Any:
    """The base with the change's fields; a field that is None is removed."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return copy.deepcopy(change)
    found = copy.deepcopy(base)
    for key, value in change.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = changed(found.get(key), value)
    return found


def metadata(**more: Any) -> Object:
    return {"name": NAME, "namespace": NAMESPACE, "labels": LABELS, **more}


PROBE = {"httpGet": {"path": "/ready", "port": 8080}}
CONTAINER = {
    "name": "server",
    "image": IMAGE,
    "resources": {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"memory": "256Mi"},
    },
    "readinessProbe": PROBE,
    "livenessProbe": PROBE,
    "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    },
}
SPREAD = {
    "maxSkew": 1,
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "ScheduleAnyway",
    "labelSelector": {"matchLabels": SELECTOR},
}
POD = {
    "serviceAccountName": NAME,
    "automountServiceAccountToken": False,
    "terminationGracePeriodSeconds": 45,
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "topologySpreadConstraints": [SPREAD],
}


def workload(
    kind: str = "Deployment",
    *,
    pod: Object | None = None,
    container: Object | None = None,
    spec: Object | None = None,
    meta: Object | None = None,
) -> Object:
    """A workload that keeps every rule, but for the changes."""
    whole = changed(POD, {"containers": [changed(CONTAINER, container or {})]})
    whole = changed(whole, pod or {})
    if kind in ("Job", "CronJob"):
        whole["restartPolicy"] = "Never"
        del whole["containers"][0]["readinessProbe"]
    template = {"metadata": {"labels": LABELS}, "spec": whole}
    own: Object = {"template": template}
    if kind == "Deployment":
        own |= {"replicas": 2, "minReadySeconds": 3}
    if kind == "StatefulSet":
        own |= {"replicas": 1, "serviceName": NAME}
    if kind == "Job":
        own |= {"activeDeadlineSeconds": 600}
    elif kind == "CronJob":
        job = {"activeDeadlineSeconds": 600, "template": template}
        own = {"schedule": "0 3 * * *", "concurrencyPolicy": "Forbid"}
        own["jobTemplate"] = {"spec": job}
    else:
        own["selector"] = {"matchLabels": SELECTOR}
    group = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
    return {
        "apiVersion": group,
        "kind": kind,
        "metadata": changed(metadata(), meta or {}),
        "spec": changed(own, spec or {}),
    }


def of(kind: str, version: str, *, namespaced: bool = True, **content: Any) -> Object:
    """An object of another kind."""
    about = metadata() if namespaced else {"name": NAME, "labels": LABELS}
    return {"apiVersion": version, "kind": kind, "metadata": about, **content}


def pod_case(rule: str, kind: str = "Deployment", **change: Any) -> Case:
    """A workload with one change in its pod."""
    return Case(rule, workload(kind), workload(kind, pod=change))


def container_case(rule: str, kind: str = "Deployment", **change: Any) -> Case:
    """A workload with one change in its container."""
    return Case(rule, workload(kind), workload(kind, container=change))


def secure(**change: Any) -> Object:
    """A change of the container's security context."""
    return {"securityContext": change}


def gpus(number: str, **pod: Any) -> Object:
    """A workload with so many GPUs, and all that goes with them."""
    quantity = {"nvidia.com/gpu": number}
    return workload(
        container={"resources": {"requests": quantity, "limits": quantity}},
        pod={
            "nodeSelector": {"slipway.dev/pool": "gpu"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "volumes": [
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
            ],
            **pod,
        },
    )


def volumes(*found: Object) -> Object:
    return {"volumes": list(found)}


PARAMETERS = {
    "registries": "mirror.example.com/  registry.example.com/team",
    "regions": "us-east-1 eu-central-1",
    "tags": "slipway.dev/cluster",
    "gpus_per_pod": "8",
    "gpus": "16",
    "dollars_per_month": "10000",
}
"""What the corpus is judged with."""
