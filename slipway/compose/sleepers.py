"""Models that may scale to zero on a cluster: here they always run."""

from __future__ import annotations

import copy

from components import naming
from components.yaml_text import read, written
from slipway.compose.composition import Composition
from slipway.compose.objects import Object, Objects

_PROGRAM = "app.kubernetes.io/name"
_SERIES = "waker_"


def awake(composition: Composition, models: Objects) -> Objects:
    """The models' objects without the waker, and without the alerts about it.

    The program that would start containers again would need Docker's own socket, and
    with it the whole machine.
    """
    kept = tuple(one for one in models.all if not _of_waker(one))
    if len(kept) == len(models.all):
        return models
    composition.add_remark("Models with scaling.idle are not scaled to zero here.")
    return Objects(tuple(_without_its_alerts(one) for one in kept))


def _of_waker(one: Object) -> bool:
    labels = one["metadata"].get("labels") or {}
    return bool(labels.get(_PROGRAM) == naming.WAKER)


def _without_its_alerts(one: Object) -> Object:
    labels = one["metadata"].get("labels") or {}
    if one["kind"] != "ConfigMap" or labels.get(naming.RULES_LABEL) != "true":
        return one
    found = copy.deepcopy(one)
    for name, text in found["data"].items():
        content = read(text, name)
        for group in content["groups"]:
            group["rules"] = [rule for rule in group["rules"] if not _about_sleep(rule)]
        found["data"][name] = written(content)
    return found


def _about_sleep(rule: Object) -> bool:
    """Return whether an alert is about sleep, not one that sleep only suppresses."""
    return _SERIES in rule["expr"] and " unless " not in rule["expr"]
