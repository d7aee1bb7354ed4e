"""A folder of one of the lab's hosts as a claim that many pods mount."""

from __future__ import annotations

from typing import Any


def claimed(name: str, host: str, folder: str) -> list[dict[str, Any]]:
    """Return the volume and its claim, both of this name; pods run on that host."""
    size = {"storage": "1Gi"}
    many = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    chosen = {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                **many,
                "capacity": size,
                "persistentVolumeReclaimPolicy": "Retain",
                "local": {"path": folder},
                "claimRef": {"name": name, "namespace": "models"},
                "nodeAffinity": {
                    "required": {"nodeSelectorTerms": [{"matchExpressions": [chosen]}]}
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": "models"},
            "spec": {**many, "volumeName": name, "resources": {"requests": size}},
        },
    ]
