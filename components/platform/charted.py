"""Makes of a publisher's chart what this project wants and no value of it gives."""

from __future__ import annotations

import copy
from typing import Any

from components import naming
from components.security import api_access

HOOK = "helm.sh/hook"

Object = dict[str, Any]


def managed(content: Object) -> Object:
    """A copy of a chart's object whose labels say who manages it.

    Annotations of helm's hooks and empty fields go.
    """
    content = copy.deepcopy(content)
    metadata = content["metadata"]
    metadata.pop("creationTimestamp", None)
    if "labels" in metadata:
        metadata["labels"].pop("helm.sh/chart", None)
        metadata["labels"] |= {
            "app.kubernetes.io/managed-by": naming.MANAGED_BY,
            "app.kubernetes.io/part-of": naming.PART_OF,
        }
    annotations = metadata.pop("annotations", {})
    kept = {k: v for k, v in annotations.items() if not k.startswith(HOOK)}
    if content["kind"] == "Service" and content["spec"].get("type") != "LoadBalancer":
        kept |= naming.SERVICE_WAIT
    if kept:
        metadata["annotations"] = kept
    return content


def name_the_token(pod: Object) -> None:
    """Makes the pod's API token a volume that it names, not one mounted unasked."""
    pod["automountServiceAccountToken"] = False
    pod.pop("imagePullSecrets", None)
    pod.setdefault("volumes", []).append(api_access.volume())
    for container in pod["containers"]:
        container.setdefault("volumeMounts", []).append(api_access.mount())
