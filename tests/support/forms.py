"""One inference in each form that the model server takes, values in and values out.

Values are as JSON has them: numbers, booleans, texts, None for NaN. The packing is the
tests' own, so that it can disagree with the server's.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from tests.support.grpc_calls import METHOD, channel
from tests.support.model_server import ModelServer

DTYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "FP32": np.float32,
    "FP64": np.float64,
}
FLOATING = ("FP16", "BF16", "FP32", "FP64")
TYPED = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class RefusedError(Exception):
    """The server answered with an error: its code and text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


Answer = dict[str, tuple[list[int], list[Any]]]
"""Shape and values, flat, of each output."""
Ask = Callable[["Server", str, str, list[int], list[Any]], Answer]


class Server:
    """Where to ask: the server's HTTP and gRPC, and a predictor of the same models."""

    def __init__(self, http: ModelServer, grpc_port: int, predictor: Any) -> None:
        self.http = http
        self.grpc_port = grpc_port
        self.predictor = predictor


def pack(datatype: str, values: Sequence[Any]) -> bytes:
    """Return values as the protocol packs them."""
    if datatype == "BYTES":
        texts = [it if isinstance(it, bytes) else it.encode() for it in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return numbers(datatype, values).tobytes()


def numbers(datatype: str, values: Sequence[Any]) -> NDArray[Any]:
    """Return values as an array of the datatype, NaN for None."""
    dtype = DTYPES[datatype]
    filled = [math.nan if value is None else value for value in values]
    if datatype in FLOATING:
        return np.array(filled, np.float64).astype(dtype)
    return np.array(filled, dtype)


def unpack(datatype: str, data: bytes) -> list[Any]:
    """Return what `pack` packed."""
    if datatype == "BYTES":
        texts = []
        while data:
            (size,) = struct.unpack_from("<I", data)
            texts.append(data[4 : 4 + size].decode())
            data = data[4 + size :]
        return texts
    array = np.frombuffer(data, DTYPES[datatype])
    return listed(array.astype(np.float64) if datatype in FLOATING else array)


def listed(array: NDArray[Any]) -> list[Any]:
    """Return an array's values, None for NaN."""
    return [None if value != value else value for value in array.ravel().tolist()]  # noqa: PLR0124


def _path(model: str) -> str:
    return f"/v2/models/{model}/infer"


def in_json(
    server: Server, model: str, datatype: str, shape: list[int], values: list[Any]
) -> Answer:
    """JSON in and out, the data a flat list."""
    return _json(server, model, datatype, shape, values)


def in_nested_json(
    server: Server, model: str, datatype: str, shape: list[int], values: list[Any]
) -> Answer:
    """JSON in and out, the data nested lists."""
    nested = values
    for size in reversed(shape[1:]):
        nested = [nested[at : at + size] for at in range(0, len(nested), size)]
    return _json(server, model, datatype, shape, nested)


def _json(
    server: Server, model: str, datatype: str, shape: list[int], data: list[Any]
) -> Answer:
    tensor = {"name": "a", "datatype": datatype, "shape": shape, "data": data}
    answer = server.http.client.post(_path(model), json={"inputs": [tensor]})
    if answer.status_code != 200:
        raise RefusedError(str(answer.status_code), answer.json()["error"])
    return {
        it["name"]: (it["shape"], _rounded(it["datatype"], it["data"]))
        for it in answer.json()["outputs"]
    }


def _rounded(datatype: str, values: list[Any]) -> list[Any]:
    """Return what a client has that reads JSON's digits into the datatype."""
    if datatype not in FLOATING:
        return values
    return listed(numbers(datatype, values).astype(np.float64))


def in_bytes(
    server: Server, model: str, datatype: str, shape: list[int], values: list[Any]
) -> Answer:
    """HTTP's raw bytes in and out."""
    data = pack(datatype, values)
    tensor = {
        "name": "a",
        "datatype": datatype,
        "shape": shape,
        "parameters": {"binary_data_size": len(data)},
    }
    document = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    head = json.dumps(document).encode()
    length = "inference-header-content-length"
    answer = server.http.client.post(
        _path(model), content=head + data, headers={length: str(len(head))}
    )
    if answer.status_code != 200:
        raise RefusedError(str(answer.status_code), answer.json()["error"])
    start = int(answer.headers[length])
    found: Answer = {}
    position = start
    for it in json.loads(answer.content[:start])["outputs"]:
        end = position + it["parameters"]["binary_data_size"]
        values = unpack(it["datatype"], answer.content[position:end])
        found[it["name"]] = (it["shape"], values)
        position = end
    assert position == len(answer.content)
    return found


def in_grpc_raw(
    server: Server, model: str, datatype: str, shape: list[int], values: list[Any]
) -> Answer:
    """gRPC's raw contents in and out."""
    return _grpc(server, model, datatype, shape, values, is_raw=True)


def in_grpc_typed(
    server: Server, model: str, datatype: str, shape: list[int], values: list[Any]
) -> Answer:
    """gRPC's typed contents in and out."""
    return _grpc(server, model, datatype, shape, values, is_raw=False)


def _grpc(
    server: Server,
    model: str,
    datatype: str,
    shape: list[int],
    values: list[Any],
    *,
    is_raw: bool,
) -> Answer:
    from model_server.grpc_codec import ModelInferRequest, ModelInferResponse

    request = ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name="a", datatype=datatype, shape=shape)
    if is_raw:
        request.raw_input_contents.append(pack(datatype, values))
    else:
        plain = [it.encode() if isinstance(it, str) else it for it in values]
        filled = [math.nan if it is None else it for it in plain]
        getattr(tensor.contents, TYPED.get(datatype, "fp32_contents")).extend(filled)
    with channel(server.grpc_port) as opened:
        try:
            data = opened.unary_unary(METHOD)(request.SerializeToString())
        except grpc.RpcError as error:
            raise RefusedError(error.code().name, error.details()) from None
    answer = ModelInferResponse.FromString(data)
    found: Answer = {}
    for number, it in enumerate(answer.outputs):
        if answer.raw_output_contents:
            out = unpack(it.datatype, answer.raw_output_contents[number])
        else:
            contents = list(getattr(it.contents, TYPED[it.datatype]))
            out = [
                value.decode()
                if isinstance(value, bytes)
                else None
                if value != value  # noqa: PLR0124, NaN
                else value
                for value in contents
            ]
        found[it.name] = (list(it.shape), out)
    return found


def in_python(
    server: Server, model: str, datatype: str, shape: list[int], values: list[Any]
) -> Answer:
    """An application's call of `Predictor.predict` with an array."""
    array = (
        np.array(values, object)
        if datatype == "BYTES"
        else np.array([math.nan if it is None else it for it in values], np.float64)
        if datatype == "BF16"
        else numbers(datatype, values)
    )
    return _predicted(server, model, array.reshape(shape))


def in_python_lists(
    server: Server, model: str, datatype: str, shape: list[int], values: list[Any]
) -> Answer:
    """An application's call of `Predictor.predict` with lists and None."""
    del datatype
    nested = values
    for size in reversed(shape[1:]):
        nested = [nested[at : at + size] for at in range(0, len(nested), size)]
    return _predicted(server, model, nested)


def _predicted(server: Server, model: str, rows: Any) -> Answer:
    from model_server.errors import RequestError

    try:
        answer = server.predictor.predict(rows, model=model)
    except RequestError as error:
        raise RefusedError(str(error.status), error.message) from None
    return {name: (list(array.shape), listed(array)) for name, array in answer.items()}


FORMS: dict[str, Ask] = {
    "json": in_json,
    "nested json": in_nested_json,
    "bytes": in_bytes,
    "grpc raw": in_grpc_raw,
    "grpc typed": in_grpc_typed,
    "python": in_python,
    "python lists": in_python_lists,
}
CALLERS_FAULT = {"400", "INVALID_ARGUMENT"}
SERVERS_FAULT = {"500", "INTERNAL"}
