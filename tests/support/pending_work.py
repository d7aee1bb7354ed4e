"""Pods that only ask for resources: kwok says that they run."""

from __future__ import annotations

from typing import Any

NAMESPACE = "node-autoscaling"
TOLERATES_ALL = [{"operator": "Exists", "effect": "NoSchedule"}]


def namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def deployment(
    name: str, replicas: int, asks: dict[str, str], pool: str
) -> dict[str, Any]:
    """Pods that ask for this, on nodes of this NodePool and nowhere else."""
    devices = {key: amount for key, amount in asks.items() if "/" in key}
    pod = {
        "nodeSelector": {"karpenter.sh/nodepool": pool},
        "tolerations": TOLERATES_ALL,
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "model",
                "image": "simulated.invalid/model",
                "resources": {"requests": asks, "limits": devices},
            }
        ],
    }
    labels = {"app.kubernetes.io/name": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
