"""Our own server, whatever evaluates the model: gRPC beside HTTP, bounds, memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from components.serving.runtimes.base import Program
from components.serving.runtimes.facts import OPEN_INFERENCE, methods
from components.serving.runtimes.ours import (
    GRPC_PORT,
    PREFIX,
    SERVER,
    SHARES,
    Ours,
    buffered_kib,
    spare_kib,
)
from components.serving.settings.replica_args import ReplicaArgs
from components.settings import Problem

GRPC_SHARES = 3
"""gRPC holds the bodies of calls by itself: so many calls at a time as have room."""
CALLS = 1024
"""The server's default of GRPC_MAX_CALLS."""


FACTS = replace(
    SERVER,
    grpc=GRPC_PORT,
    grpc_public=methods(
        OPEN_INFERENCE,
        "ModelInfer",
        "ModelMetadata",
        "ModelReady",
        "ServerLive",
        "ServerMetadata",
        "ServerReady",
    ),
)


class OwnServer(Ours):
    """Our server (images/model_server): Open Inference Protocol over HTTP and gRPC."""

    grpc: bool = False
    """Whether it also answers the Open Inference Protocol over gRPC, on port 9000 of
    the Service; `grpc_route` makes it public."""

    def program(self, model: str, args: ReplicaArgs) -> Program:
        """With gRPC: limits concurrent calls to what its memory can hold."""
        found = super().program(model, args)
        if not self.grpc:
            return found
        buffered = buffered_kib(args, self.MEMORY, self._shares)
        left = (
            spare_kib(args, self.MEMORY) - 2 * buffered
        ) // args.requests.max_body_kib
        bounds = {
            f"{PREFIX}MAX_BUFFERED_BYTES": str(buffered * 1024),
            f"{PREFIX}GRPC_MAX_CALLS": str(max(1, min(CALLS, left))),
        }
        return replace(found, environment={**found.environment, **bounds})

    @property
    def _shares(self) -> int:
        return GRPC_SHARES if self.grpc else SHARES

    def problems(self, args: ReplicaArgs) -> Iterator[Problem]:
        yield from super().problems(args)
        body_kib = args.requests.max_body_kib
        own_mib = self.MEMORY.server_mib
        times = self.MEMORY.per_body + self._shares
        needed = own_mib + math.ceil(times * body_kib / 1024)
        if args.resources.memory_limit_mib < needed:
            yield Problem(
                "resources.memory_limit_mib",
                args.resources.memory_limit_mib,
                f"the server takes {own_mib} MiB before its first request, and "
                f"bodies of requests.max_body_kib = {body_kib} that are received, read "
                f"and wait take up to {needed - own_mib}: the replica would be "
                "killed",
                f"give at least {needed} and what the model itself takes, or lower "
                "requests.max_body_kib",
            )
