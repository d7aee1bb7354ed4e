"""Check for models that cannot scale to zero, and for useless wake budgets."""

from __future__ import annotations

from collections.abc import Iterator

from components.serving.args.server_args import ServerArgs
from components.settings import Problem

HEAD_KIB = 64
"""Size of a request's line and headers; the gateway accepts up to 60 KiB."""


def problems(args: ServerArgs) -> Iterator[Problem]:
    """Report obstacles to scaling to zero, and limits that requests would exceed."""
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
            "a request that waits for the model to wake would time out and be retried",
            "remove it, or remove scaling.idle",
        )
    if args.requests.max_body_kib + HEAD_KIB > 1024 * idle.buffer_mib:
        yield Problem(
            "scaling.idle.buffer_mib",
            idle.buffer_mib,
            "a single request may have a body of requests.max_body_kib = "
            f"{args.requests.max_body_kib} and a head of {HEAD_KIB}",
            "raise it, or lower requests.max_body_kib",
        )


def _obstacles(args: ServerArgs) -> Iterator[tuple[str, object, str, str]]:
    if args.scaling.signal == "inflight":
        yield (
            "scaling.signal",
            "inflight",
            "KEDA would scale the sleeping model up again immediately",
            "set signal: cpu, or remove scaling.idle",
        )
    if args.revisions:
        yield (
            "scaling.idle",
            "set",
            "a model with revisions cannot be scaled to zero: they share one path",
            "make each revision a separate model server, or remove scaling.idle",
        )
    if args.grpc_route or args.runtime.grpc_port:
        yield (
            "scaling.idle",
            "set",
            "gRPC requests cannot be held",
            "serve over HTTP only, or remove scaling.idle",
        )
    if not args.runtime.metrics.native:
        yield (
            "scaling.idle",
            "set",
            f"{args.runtime.kind} has no request counter that shows when it is idle",
            "use onnx, fastapi, flask or django, or remove scaling.idle",
        )
