"""When a model is scaled to zero, and limits of requests that wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from components.part_settings import image_problems
from components.setting_types import Whole
from components.settings import Problem, Settings


class Idle(Settings):
    """No replicas while there are no requests; the first request waits for one.

    docs/how-to/scale-to-zero.md
    """

    after_seconds: Annotated[Whole, Field(ge=15, le=604_800)] = 900
    """Time without requests before the replicas are removed, in seconds."""
    wake_seconds: Annotated[Whole, Field(ge=1, le=3600)]
    """Wake budget: longest time for which a request is held until a replica is ready,
    in seconds; then it gets 503. Measure a start and give twice that time."""
    buffer_requests: Annotated[Whole, Field(ge=1, le=100_000)] = 1000
    """Maximum number of held requests; more get 503 immediately."""
    buffer_mib: Annotated[Whole, Field(ge=1, le=1024)] = 16
    """Maximum size of all held requests, in MiB."""


class WakerSettings(Settings):
    """The program that scales idle models to zero and back, if there are any."""

    image: str = "waker"
    """The waker. A short name of images.lock, or by digest."""
    replicas: Annotated[Whole, Field(ge=1, le=10)] = 2
    """Pods of the waker. Each can do all the work, so one may fail."""


def waker_problems(settings: WakerSettings) -> Iterator[Problem]:
    """An image that is nowhere."""
    yield from image_problems("waker.image", settings.image)
