"""When a model sleeps, and what is held until it is awake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from components.part_settings import image_problems
from components.setting_types import Whole
from components.settings import Problem, Settings

if TYPE_CHECKING:
    from components.serving.model_server_args import ModelServerArgs


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
    """Most that the bodies of held requests take, in MiB."""


class WakerSettings(Settings):
    """The program that puts models to sleep and wakes them, if any may sleep."""

    image: str = "waker"
    """The waker. A short name of images.lock, or by digest."""
    replicas: Annotated[Whole, Field(ge=1, le=10)] = 2
    """Wakers. Each can do all of it: one that fails is not missed."""


def idle_problems(args: ModelServerArgs) -> Iterator[Problem]:
    """What cannot sleep, and budgets that callers never get."""
    idle = args.scaling.idle
    if idle is None:
        return
    for path, value, reason, fix in _obstacles(args):
        yield Problem(path, value, reason, fix)
    longest = args.lifecycle.longest_request_seconds
    if idle.wake_seconds >= longest:
        yield Problem(
            "scaling.idle.wake_seconds",
            idle.wake_seconds,
            f"the gateway ends requests after longest_request_seconds = {longest}",
            f"give less than {longest}, or raise lifecycle.longest_request_seconds",
        )
    if attempt := args.requests.retries.attempt_seconds:
        yield Problem(
            "requests.retries.attempt_seconds",
            attempt,
            "a request that is held until the model is awake would be given up and "
            "asked again",
            "remove it, or remove scaling.idle",
        )
    if args.requests.max_body_kib > 1024 * idle.buffer_mib:
        yield Problem(
            "scaling.idle.buffer_mib",
            idle.buffer_mib,
            f"one body may have requests.max_body_kib = {args.requests.max_body_kib}",
            "raise it, or lower requests.max_body_kib",
        )


def _obstacles(args: ModelServerArgs) -> Iterator[tuple[str, object, str, str]]:
    if args.scaling.signal == "inflight":
        yield (
            "scaling.signal",
            "inflight",
            "KEDA brings a model with idle replicas back at once",
            "set signal: cpu, or remove scaling.idle",
        )
    if args.revisions:
        yield (
            "scaling.idle",
            "set",
            "a model with revisions cannot sleep: they share one path",
            "make a server of its own of each, or remove scaling.idle",
        )
    if args.grpc_route or args.runtime.grpc_port:
        yield (
            "scaling.idle",
            "set",
            "requests by gRPC cannot be held",
            "serve by HTTP alone, or remove scaling.idle",
        )
    if not args.runtime.figures.native:
        yield (
            "scaling.idle",
            "set",
            f"{args.runtime.kind} does not count its requests so that calm shows",
            "use onnx, fastapi, flask or django, or remove scaling.idle",
        )


def waker_problems(settings: WakerSettings) -> Iterator[Problem]:
    """An image that is nowhere."""
    yield from image_problems("waker.image", settings.image)
