"""Our own server for ONNX models."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from components.serving.runtimes.facts import Facts
from components.serving.runtimes.own_server import FACTS, OwnServer


class Onnx(OwnServer):
    """Our server (images/model_server): Open Inference Protocol over HTTP and gRPC."""

    FACTS: ClassVar[Facts] = replace(FACTS, cannot=("run models that are not ONNX",))
    kind: Literal["onnx"]
    """Our server for ONNX models."""
