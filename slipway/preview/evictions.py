"""Training jobs that rollouts may evict after a change and not before it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from components import naming
from slipway.preview.report import Eviction
from slipway.rendering import manifests
from slipway.rendering.recorder import Resource


def added(
    stack: str, base: Sequence[Resource], head: Sequence[Resource]
) -> Iterator[Eviction]:
    """By rollout and job; `base` is empty if the stack was not there."""
    before = {*_all(stack, base)}
    yield from (it for it in _all(stack, head) if it not in before)


def _all(stack: str, resources: Iterable[Resource]) -> Iterator[Eviction]:
    for resource in resources:
        if not resource.type.endswith(":ConfigMap"):
            continue
        noted = resource.inputs.get("metadata", {}).get("annotations") or {}
        text = noted.get(naming.EVICTABLE_ANNOTATION)
        for job in json.loads(text) if text else ():
            yield Eviction(stack, manifests.shown_name(resource), **job)
