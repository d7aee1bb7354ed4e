"""Our own server for ONNX models."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal

from components.serving.runtimes.facts import OPEN_INFERENCE, Facts, methods
from components.serving.runtimes.ours import GRPC_PORT, SERVER, Ours
from components.serving.settings.replica_args import ReplicaArgs
from components.settings import Problem

SERVER_MIB = 80
"""Resident memory of the server with a model of a few KiB, measured (2026-11-29)."""
MEMORY_PER_BODY = 5
"""What reading a JSON body takes, in times its size, itself included. Numbers are read
in blocks: at most 4.2 times, of one-digit values that are 8 bytes each for the model,
measured on bodies of 8 to 57 MiB (2026-11-30). Texts take up to 26 times; a stack does
not know which models take some, so the server refuses to start without that room."""


class Onnx(Ours):
    """Our server (images/model_server): Open Inference Protocol over HTTP and gRPC."""

    FACTS: ClassVar[Facts] = replace(
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
        cannot=("run models that are not ONNX",),
    )
    kind: Literal["onnx"]
    """Our server for ONNX models."""
    grpc: bool = False
    """Whether it also answers the Open Inference Protocol over gRPC, on port 9000 of
    the Service; `grpc_route` makes it public."""

    def problems(self, args: ReplicaArgs) -> Iterator[Problem]:
        yield from super().problems(args)
        body_kib = args.requests.max_body_kib
        needed = SERVER_MIB + math.ceil(MEMORY_PER_BODY * body_kib / 1024)
        if args.resources.memory_limit_mib < needed:
            yield Problem(
                "resources.memory_limit_mib",
                args.resources.memory_limit_mib,
                f"the server takes {SERVER_MIB} MiB before its first request, and "
                f"reading one of requests.max_body_kib = {body_kib} takes up to "
                f"{needed - SERVER_MIB}: the replica would be killed",
                f"give at least {needed} and what the model itself takes, or lower "
                "requests.max_body_kib",
            )
