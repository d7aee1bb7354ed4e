"""The model monitor, its console and log shippers, which run on a cluster only."""

from __future__ import annotations

import copy

from components import naming
from components.serving.pods import log_shipper
from slipway.compose.composition import Composition
from slipway.compose.objects import Object, Objects, pod_spec

_PROGRAM = "app.kubernetes.io/name"


def without(composition: Composition, models: Objects) -> Objects:
    """The models' objects without monitor and console, and what sends it files.

    A sidecar would need the server's memory-backed folder, which Compose cannot share.
    """
    kept = tuple(one for one in models.all if not _of_monitor(one))
    found = tuple(_without_shipper(one) for one in kept)
    if found == models.all:
        return models
    composition.add_remark(
        "Prediction logs are not sent anywhere, and models are not monitored for "
        "quality, drift and fairness: that runs on a cluster only."
    )
    return Objects(found)


def _of_monitor(one: Object) -> bool:
    labels = one["metadata"].get("labels") or {}
    return labels.get(_PROGRAM) in {
        naming.MODEL_MONITOR,
        naming.MODEL_CONSOLE,
        naming.MODEL_ATTRIBUTIONS,
    }


def _without_shipper(one: Object) -> Object:
    if one["kind"] != "Deployment" or not pod_spec(one).get("initContainers"):
        return one
    found = copy.deepcopy(one)
    spec = pod_spec(found)
    left = [
        container
        for container in spec.pop("initContainers")
        if container["name"] != log_shipper.CONTAINER
    ]
    if left:
        spec["initContainers"] = left
    return found
