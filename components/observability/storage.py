"""Storage of a program: with the pod, or on a volume that outlives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.observability.settings import Storage

Volumes = list[dict[str, Any]]


def data_volume(
    storage: Storage | None, labels: Mapping[str, str]
) -> tuple[Volumes, Volumes]:
    """Volumes of the pod and claim templates of its StatefulSet, for `data`."""
    if storage is None:
        return [{"name": "data", "emptyDir": {}}], []
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": storage.size}},
    }
    if storage.storage_class:
        spec["storageClassName"] = storage.storage_class
    claim = {"metadata": {"name": "data", "labels": dict(labels)}, "spec": spec}
    return [], [claim]
