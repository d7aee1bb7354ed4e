"""Names reserved for Kubernetes, the platform and programs beside the models."""

from __future__ import annotations

from components import naming

KUBERNETES_PREFIX = "kube-"
"""Reserved for namespaces of Kubernetes' own.
https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/"""
CONTAINER_LOGS_NAMESPACE = "amazon-cloudwatch"
"""The add-on's own, which cannot be chosen."""
PLATFORM = {
    CONTAINER_LOGS_NAMESPACE: "the container log agents",
    naming.GATEWAY_NAMESPACE: "the gateway",
    naming.GPU_NAMESPACE: "the GPU software",
    naming.KEDA_NAMESPACE: "KEDA",
    naming.MONITORING_NAMESPACE: "the monitoring",
}


def is_of_add_ons(namespace: str) -> bool:
    """Return whether service accounts of cluster add-ons are in the namespace."""
    return namespace.startswith(KUBERNETES_PREFIX)


def owner(namespace: str) -> str | None:
    """Return the owner of a namespace; None if models may use it."""
    if namespace == "default" or namespace.startswith(KUBERNETES_PREFIX):
        return "Kubernetes"
    return PLATFORM.get(namespace)


IN_MODELS_NAMESPACE = {
    "default": "the namespace's own ServiceAccount",
    "default-deny": "a NetworkPolicy of the namespace",
    "allow-dns": "a NetworkPolicy of the namespace",
    naming.ROLLOUT_CONTROLLER: "the rollout controller",
    naming.WAKER: "the waker",
    naming.MODEL_MONITOR: "the model monitor",
    f"{naming.MODEL_MONITOR}-labels": "the model monitor's port for labels",
    naming.MODEL_CONSOLE: "the model console",
    naming.MODEL_ATTRIBUTIONS: "the job of attributions",
}
"""Names of objects that are there whatever models there are.

A model's own objects have its name, so one of these would be the same object.
"""
