"""Plain gRPC calls of the Open Inference Protocol, with the server's own messages."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np

METHOD = "/inference.GRPCInferenceService/ModelInfer"
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def channel(port: int) -> Iterator[Any]:
    """A channel without retries: what the server says is what the test sees."""
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as opened:
        yield opened


def request(rows: Any, model: str = "tiny", name: str = "X", **fields: Any) -> bytes:
    """A ModelInferRequest with raw contents of FP32 rows."""
    from model_server.grpc_messages import message

    values = np.asarray(rows, "<f4")
    tensor = {"name": name, "datatype": "FP32", "shape": values.shape}
    data: bytes = message("ModelInferRequest")(
        model_name=model,
        inputs=[tensor],
        raw_input_contents=[values.tobytes()],
        **fields,
    ).SerializeToString()
    return data


def answer(data: bytes) -> Any:
    from model_server.grpc_messages import message

    return message("ModelInferResponse").FromString(data)
