"""Broken gRPC calls without end, the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.support.grpc_calls import CHECK, METHOD, request

SIZES = (0, -1, 1, 2, 3, 301, 2**31, 2**63 - 1, -(2**63))
DATATYPES = ("FP64", "INT8", "UINT64", "BOOL", "BYTES", "FP16", "fp32", "", "\u20ac")
NAMES = ("", "Y", "x" * 5000, "X", "X\0", "\u20ac")
METHODS = (
    *(METHOD, METHOD, METHOD, CHECK),
    *(METHOD.replace("ModelInfer", name) for name in ("ModelReady", "ModelMetadata")),
    *(METHOD.replace("ModelInfer", "ServerLive"), METHOD + "X", "/a/b", "//"),
)
METADATA = (
    *(("x-request-id", "a b"), ("x-request-id", "a" * 500), ("x-request-id", "")),
    *(("x-model-revision", "none"), ("some-bin", b"\xff\0"), ("te", "nothing")),
)


class Call(NamedTuple):
    """One call: its method, messages and metadata, and how long it may take."""

    method: str
    messages: list[bytes]
    metadata: list[tuple[str, Any]]
    seconds: float = 20.0


def right(columns: int) -> Call:
    """A call that is answered."""
    return Call(METHOD, [request([[0.5] * columns])], [])


def broken(seed: int, columns: int) -> Iterator[Call]:
    """Calls of which almost all are wrong in one to a few ways."""
    source = random.Random(seed)
    kinds = (_bytes, _fields, _fields, _typed, _noise, _method, _stream, _hasty)
    while True:
        yield source.choice(kinds)(source, columns)


def _bytes(source: random.Random, columns: int) -> Call:
    data = bytearray(request([[1, 2, 3, 4]] * 3, id="a"))
    for _ in range(source.randint(1, 4)):
        place, size = source.randrange(len(data)), source.randint(1, 10)
        action = source.randrange(3)
        if action == 0:
            data[place] = source.randrange(256)
        elif action == 1:
            del data[place : place + size]
            data = data or bytearray(b"x")
        else:
            data[place:place] = data[place : place + size]
    return Call(METHOD, [bytes(data)], [])


def _fields(source: random.Random, columns: int) -> Call:
    """Fields of other values than they should have, and raw contents that misfit."""
    from model_server.grpc_messages import message

    asked = message("ModelInferRequest").FromString(request([[1] * columns]))
    tensor = asked.inputs[0]
    for _ in range(source.randint(1, 3)):
        match source.randrange(8):
            case 0:
                tensor.shape[:] = source.choices(SIZES, k=source.randint(0, 4))
            case 1:
                tensor.datatype = source.choice(DATATYPES)
            case 2:
                tensor.name = source.choice(NAMES)
            case 3:
                asked.raw_input_contents[:] = [
                    source.randbytes(source.choice([0, 1, 15, 16, 17, 4096]))
                    for _ in range(source.randint(0, 3))
                ]
            case 4:
                asked.id = source.choice(["a b", "x" * 5000, "\n"])
            case 5:
                asked.outputs.add(name=source.choice(NAMES))
            case 6:
                asked.inputs.append(tensor)
            case _:
                asked.model_name = source.choice(NAMES)
                asked.model_version = source.choice(NAMES)
    return Call(METHOD, [asked.SerializeToString()], [])


def _typed(source: random.Random, columns: int) -> Call:
    from model_server.grpc_messages import message

    contents: dict[str, Any] = {
        "fp32_contents": source.choices(
            [0.0, -1.5, float("nan"), float("inf"), 3e38], k=source.randint(0, 6)
        )
    }
    if source.random() < 0.4:
        contents["int_contents"] = [2**31 - 1, -(2**31), 300]
    if source.random() < 0.2:
        contents["bytes_contents"] = [b"\xff" * 100]
    tensor = {"name": "X", "shape": [1, columns], "contents": contents}
    tensor["datatype"] = source.choice(["FP32", *DATATYPES])
    raw = [bytes(16)] if source.random() < 0.2 else []
    asked = message("ModelInferRequest")(
        model_name="tiny", inputs=[tensor], raw_input_contents=raw
    )
    return Call(METHOD, [asked.SerializeToString()], [])


def _noise(source: random.Random, columns: int) -> Call:
    size = source.choice([0, 1, 30, 300, 100_000])
    return Call(source.choice(METHODS), [source.randbytes(size)], [])


def _method(source: random.Random, columns: int) -> Call:
    metadata = source.sample(METADATA, source.randint(0, 2))
    return Call(source.choice(METHODS), [request([[1] * columns])], metadata)


def _stream(source: random.Random, columns: int) -> Call:
    """No message, or more than one."""
    return Call(METHOD, [request([[1] * columns])] * source.choice([0, 2, 5]), [])


def _hasty(source: random.Random, columns: int) -> Call:
    """A client that hardly waits."""
    return Call(METHOD, [request([[1] * columns])], [], source.choice([1e-6, 1e-3]))
