"""Namespaces that belong to Kubernetes or to a part of the platform."""

from __future__ import annotations

from components import naming

KUBERNETES_PREFIX = "kube-"
"""Reserved for namespaces of Kubernetes' own.
https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/"""
PLATFORM = {
    naming.GATEWAY_NAMESPACE: "the gateway",
    naming.GPU_NAMESPACE: "the GPU software",
    naming.KEDA_NAMESPACE: "KEDA",
    naming.MONITORING_NAMESPACE: "the monitoring",
}


def is_of_add_ons(namespace: str) -> bool:
    """Whether service accounts of cluster add-ons are in the namespace."""
    return namespace.startswith(KUBERNETES_PREFIX)


def owner(namespace: str) -> str | None:
    """What a namespace belongs to; None if models may have it."""
    if namespace == "default" or namespace.startswith(KUBERNETES_PREFIX):
        return "Kubernetes"
    return PLATFORM.get(namespace)
