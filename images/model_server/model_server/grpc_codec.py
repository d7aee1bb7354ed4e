"""Reads and writes the messages of ModelInfer for one model."""

from __future__ import annotations

import struct
from typing import Any

from google.protobuf.message import DecodeError

from model_server import parameters
from model_server.binary import RawInput, packed
from model_server.datatypes import DATATYPES, TEXT
from model_server.endpoint import Endpoint
from model_server.errors import RequestError, invalid
from model_server.grpc_messages import CHOICE, message
from model_server.outputs import Array, Outputs
from model_server.protocol import REQUEST_ID, Inference
from model_server.texts import pack_texts
from model_server.wording import shown

CONTENTS = {
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
"""Field of InferTensorContents for a datatype; FP16 and BF16 go as raw bytes only."""

ModelInferRequest = message("ModelInferRequest")
ModelInferResponse = message("ModelInferResponse")


def parse(kind: Any, data: bytes) -> Any:
    """Return a message of a class; raise `RequestError` where the bytes are none."""
    try:
        return kind.FromString(data)
    except DecodeError:
        name = kind.DESCRIPTOR.name
        raise RequestError(400, "invalid_request", f"not a {name}") from None


def check_id(text: str) -> str:
    """Return a request's id; raise where it is not one."""
    if text and not REQUEST_ID.fullmatch(text):
        raise invalid(
            "id", f"{shown(text)} must be at most 128 of letters, digits and ._:/+=@-"
        )
    return text


def read(request: Any, endpoint: Endpoint) -> Inference:
    """Return what a ModelInferRequest asks; raise `RequestError` where it is wrong."""
    tensors, raw = request.inputs, request.raw_input_contents
    asked = _parameters(request, "parameters", parameters.REQUEST)
    for number, tensor in enumerate(tensors):
        _parameters(tensor, f"inputs[{number}].parameters", parameters.INPUT)
    for number, output in enumerate(request.outputs):
        _parameters(output, f"outputs[{number}].parameters", parameters.OUTPUT)
    if raw:
        if len(raw) != len(tensors):
            raise invalid(
                "raw_input_contents", f"{len(raw)} entries for {len(tensors)} inputs"
            )
        for number, tensor in enumerate(tensors):
            if tensor.HasField("contents"):
                raise invalid(
                    f"inputs[{number}].contents", "must be empty beside raw contents"
                )
        data = list(raw)
    else:
        data = [
            _pack(tensor, f"inputs[{number}].contents")
            for number, tensor in enumerate(tensors)
        ]
    inputs = [
        RawInput(tensor.name, tensor.datatype, list(tensor.shape), memoryview(values))
        for tensor, values in zip(tensors, data, strict=True)
    ]
    inference = endpoint.raw_reader.read(
        check_id(request.id) or None, inputs, [item.name for item in request.outputs]
    )
    inference.timeout_seconds = parameters.seconds(asked)
    return inference


def _parameters(holder: Any, path: str, level: str) -> dict[str, object]:
    """Return a message's parameters; raise where one asks for what is not done here.

    Those of binary tensors are taken and mean nothing: they are about HTTP's bodies.
    """
    if not holder.parameters:
        return {}
    given: dict[str, object] = {}
    for entry in holder.parameters:
        choice = entry.value.WhichOneof(CHOICE)
        given[entry.key] = getattr(entry.value, choice) if choice else None
    return parameters.read(path, level, given)


def _pack(tensor: Any, path: str) -> bytes:
    """Return typed contents as raw bytes; the reader reports a wrong datatype."""
    field = CONTENTS.get(tensor.datatype)
    if field is None:
        if tensor.datatype in DATATYPES:
            name = tensor.datatype
            raise invalid(path, f"{name} has no typed contents; use raw_input_contents")
        return b""
    for given, _ in tensor.contents.ListFields():
        if given.name != field:
            raise invalid(
                f"{path}.{given.name}",
                f"{tensor.datatype} stands in {field} and nowhere else",
            )
    values = getattr(tensor.contents, field)
    if tensor.datatype == TEXT:
        return pack_texts(values)
    code = DATATYPES[tensor.datatype].code
    try:
        return struct.pack(f"<{len(values)}{code}", *values)
    except struct.error:
        raise invalid(
            f"{path}.{field}", f"a value is not one that {tensor.datatype} can hold"
        ) from None


def write(
    request: Any,
    endpoint: Endpoint,
    *,
    request_id: str,
    inference: Inference,
    outputs: Outputs,
) -> bytes:
    """Return the ModelInferResponse: raw contents if the request had them."""
    manifest = endpoint.manifest
    response = ModelInferResponse(
        model_name=manifest.name, model_version=manifest.version, id=request_id
    )
    arrays = outputs.arrays
    wanted = inference.wanted or range(len(arrays))
    is_raw = bool(request.raw_input_contents) or any(
        manifest.outputs[index].datatype not in CONTENTS for index in wanted
    )
    for index in wanted:
        tensor = manifest.outputs[index]
        array = arrays[index]
        written = response.outputs.add(
            name=tensor.name, datatype=tensor.datatype, shape=array.shape
        )
        if is_raw:
            response.raw_output_contents.append(packed(array, tensor.datatype))
        else:
            values = getattr(written.contents, CONTENTS[tensor.datatype])
            values.extend(_values(array))
    written_bytes: bytes = response.SerializeToString()
    return written_bytes


def _values(array: Array) -> list[Any]:
    if array.dtype != object:
        values: list[Any] = array.ravel().tolist()
        return values
    return [it if isinstance(it, bytes) else str(it).encode() for it in array.ravel()]
