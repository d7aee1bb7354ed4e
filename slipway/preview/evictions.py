"""Training jobs that rollouts may evict after a change and not before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

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


def unread(resources: Iterable[Resource]) -> Iterator[str]:
    """Names of objects whose jobs are told in another form than this code knows."""
    for resource in resources:
        if _annotated_jobs(resource) is None:
            yield manifests.shown_name(resource)


def _all(stack: str, resources: Iterable[Resource]) -> Iterator[Eviction]:
    for resource in resources:
        for job in _annotated_jobs(resource) or ():
            yield Eviction(stack, manifests.shown_name(resource), **vars(job))


@dataclass(frozen=True)
class _Job:
    """The fields that the annotation has of each job."""

    job: str
    gpus: int
    lost_seconds: int
    stop_seconds: int


_JOBS = TypeAdapter(list[_Job])


def _annotated_jobs(resource: Resource) -> list[_Job] | None:
    """Jobs that the object names; None if they cannot be read."""
    if not resource.type.endswith(":ConfigMap"):
        return []
    noted = resource.inputs.get("metadata", {}).get("annotations") or {}
    text = noted.get(naming.EVICTABLE_ANNOTATION)
    try:
        return _JOBS.validate_json(text) if text else []
    except ValidationError:
        return None
