"""When a model sleeps, and what is held until it is awake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from components.part_settings import image_problems
from components.setting_types import Whole
from components.settings import Problem, Settings


class Idle(Settings):
    """No replicas while nobody calls; the first caller waits for one.

    docs/how-to/scale-to-zero.md
    """

    after_seconds: Annotated[Whole, Field(ge=15, le=604_800)] = 900
    """How long nobody must have called before the replicas are taken away, in
    seconds."""
    wake_seconds: Annotated[Whole, Field(ge=1, le=3600)]
    """Wake budget: how long a request is held at most until a replica is ready, in
    seconds; then it is answered 503. Measure a start, and give it twice."""
    buffer_requests: Annotated[Whole, Field(ge=1, le=100_000)] = 1000
    """Most requests that are held; more are answered 503 at once."""
    buffer_mib: Annotated[Whole, Field(ge=1, le=1024)] = 16
    """Most that the heads and bodies of held requests take, in MiB."""


class WakerSettings(Settings):
    """The program that puts models to sleep and wakes them, if any may sleep."""

    image: str = "waker"
    """The waker. A short name of images.lock, or by digest."""
    replicas: Annotated[Whole, Field(ge=1, le=10)] = 2
    """Wakers. Each can do all of it: one that fails is not missed."""


def waker_problems(settings: WakerSettings) -> Iterator[Problem]:
    """An image that is nowhere."""
    yield from image_problems("waker.image", settings.image)
