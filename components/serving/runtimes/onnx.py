"""Our own server for ONNX models."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from components.serving.runtimes.facts import OPEN_INFERENCE, Facts, methods
from components.serving.runtimes.ours import GRPC_PORT, SERVER, Ours


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
