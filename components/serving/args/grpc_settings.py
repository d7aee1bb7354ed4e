"""Check the public gRPC route of a model server."""

from __future__ import annotations

from collections.abc import Iterator

from components.serving.args.server_args import ServerArgs
from components.serving.settings.versions import MOST_RULES
from components.settings import Problem

MOST_REVISIONS = MOST_RULES - 2
"""Rules of the GRPCRoute: one per revision name, one for unknown names, one by
weight."""


def grpc_problems(args: ServerArgs) -> Iterator[Problem]:
    """Report a server without gRPC, and more revisions than a route can hold."""
    if not args.grpc_route:
        return
    kind, facts = args.runtime.kind, args.runtime.FACTS
    if facts.grpc is None:
        yield Problem(
            "grpc_route",
            args.grpc_route,
            f"{kind} does not support gRPC",
            "remove it, or use a runtime that does, such as onnx",
        )
    elif args.runtime.grpc_port is None:
        yield Problem(
            "grpc_route",
            args.grpc_route,
            "runtime.grpc is off: the server opens no port for it",
            f"set runtime: {{kind: {kind}, grpc: true}}, or remove grpc_route",
        )
    if len(args.revisions) > MOST_REVISIONS:
        yield Problem(
            "revisions",
            f"{len(args.revisions)} revisions",
            f"a GRPCRoute can have {MOST_RULES} rules, which is enough for "
            f"{MOST_REVISIONS} revisions",
            "remove some, or grpc_route",
        )
