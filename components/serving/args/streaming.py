"""Servers that stream responses: their limits must be set, never assumed.

The gateway's timeout is for the whole response. If it cuts off a running stream, the
caller sees status 200 and a truncated response, and only the gateway's own metrics
count a failure. Streaming servers therefore have no default limit.
"""

from __future__ import annotations

from collections.abc import Iterator

from components.serving.args.server_args import ServerArgs
from components.settings import ABSENT, Problem


def streams(args: ServerArgs) -> bool:
    """Return whether responses are streamed, by the runtime or by the settings."""
    return args.runtime.FACTS.streams or args.lifecycle.stream_idle_seconds is not None


def problems(args: ServerArgs) -> Iterator[Problem]:
    """Report missing limits of a streaming server."""
    if not streams(args):
        return
    yield from _lifecycle(args)
    yield from _alerts(args)
    idle, silence = args.scaling.idle, args.lifecycle.stream_idle_seconds
    if idle and silence and silence <= idle.wake_seconds:
        yield Problem(
            "lifecycle.stream_idle_seconds",
            silence,
            "a request that waits for the model to wake sends nothing for "
            f"scaling.idle.wake_seconds = {idle.wake_seconds}",
            "give more than that",
        )


def _lifecycle(args: ServerArgs) -> Iterator[Problem]:
    said, defaults = args.lifecycle.model_fields_set, type(args.lifecycle)()
    who = args.runtime.kind
    if "longest_request_seconds" not in said:
        yield Problem(
            "lifecycle.longest_request_seconds",
            ABSENT,
            f"{who} streams its responses, and the default of "
            f"{defaults.longest_request_seconds} s would cut them off midway, with "
            "status 200",
            "give the longest time that a whole response may take, from first to last "
            "chunk, and drain_seconds and grace_seconds to match",
        )
    if args.lifecycle.stream_idle_seconds is None:
        yield Problem(
            "lifecycle.stream_idle_seconds",
            ABSENT,
            f"{who} streams its responses, and no limit is set for one that stalls",
            "give the longest pause: before the first chunk, and between two",
        )


def _alerts(args: ServerArgs) -> Iterator[Problem]:
    metrics, said = args.runtime.metrics, args.alerts.model_fields_set
    for name, figure, what in (
        ("p99_milliseconds", metrics.latency, "a whole response takes"),
        ("queue_p99_milliseconds", metrics.queue, "a request waits"),
    ):
        if figure and name not in said:
            default = getattr(type(args.alerts)(), name)
            yield Problem(
                f"alerts.{name}",
                ABSENT,
                f"the default of {default:g} ms is for responses that are not streamed",
                f"give the 99th percentile of the time that {what} in normal "
                "operation, plus a margin",
            )
