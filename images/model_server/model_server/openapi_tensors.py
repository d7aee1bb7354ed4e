"""JSON Schemas (draft 2020-12) of a model's requests and answers."""

from __future__ import annotations

import math
from typing import Any

from model_server import parameters
from model_server.datatypes import DATATYPES
from model_server.manifest import Manifest
from model_server.protocol import REQUEST_ID
from model_server.tensor import FREE, Tensor

Json = dict[str, Any]

# Numbers from here on round to infinity: the largest value and half its last digit.
_FLOAT_BOUNDS = {
    "FP16": 65520,
    # BF16 is cut from FP32, so the last digit of that counts as well.
    "BF16": float(2**128 - 2**119 - 2**103),
    "FP32": float(2**128 - 2**103),
}
REQUEST_ID_SCHEMA = {"type": "string", "pattern": rf"^({REQUEST_ID.pattern})?$"}


def request(manifest: Manifest, max_rows: int) -> Json:
    """Return the schema of request bodies, as far as a schema can say what is right.

    That `data` holds as many values as `shape` says is left to the server.
    """
    inputs = [_input(tensor, max_rows) for tensor in manifest.inputs]
    count = len(inputs)
    tensors: Json = {"type": "array", "minItems": count, "maxItems": count}
    if count == 1:
        tensors["items"] = inputs[0]
    else:
        tensors["items"] = {"anyOf": inputs}
        tensors["allOf"] = [
            {"contains": {"properties": {"name": {"const": tensor.name}}}}
            for tensor in manifest.inputs
        ]
    names = [tensor.name for tensor in manifest.outputs]
    return {
        "type": "object",
        "required": ["inputs"],
        "additionalProperties": False,
        "properties": {
            "id": {
                "type": ["string", "null"],
                "pattern": r"^([A-Za-z0-9._:/+=@\-]{1,128})?$",
            },
            "model_name": {"enum": [manifest.name, "", None]},
            "model_version": {"enum": [manifest.version, "", None]},
            "parameters": parameters.schema(parameters.REQUEST),
            "inputs": tensors,
            "outputs": {
                "type": ["array", "null"],
                "description": "The outputs wanted, each once; none means all.",
                "maxItems": len(names),
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "additionalProperties": False,
                    "properties": {
                        "name": {"enum": names},
                        "parameters": parameters.schema(parameters.OUTPUT),
                    },
                },
            },
        },
    }


def answer(manifest: Manifest) -> Json:
    """Return the schema of answers."""
    properties: Json = {
        "model_name": {"const": manifest.name},
        "model_version": {"const": manifest.version},
        "id": {"type": "string"},
        "outputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": len(manifest.outputs),
            "items": {"anyOf": [_output(tensor) for tensor in manifest.outputs]},
        },
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def zeros(manifest: Manifest) -> Json:
    """Return a request of one row of zeros or empty texts, one in a free dimension."""
    tensors = []
    for tensor in manifest.inputs:
        zero: object = {"BOOL": False, "BYTES": ""}.get(tensor.datatype, 0)
        shape = [1 if size == FREE else size for size in tensor.shape]
        tensors.append(
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": shape,
                "data": [zero] * math.prod(shape),
            }
        )
    return {"inputs": tensors}


def _input(tensor: Tensor, max_rows: int) -> Json:
    value = _value(tensor)
    sizes = _sizes(tensor)
    least, most = (math.prod(bounds) for bounds in zip((1, 1), *sizes, strict=True))
    flat = _list(value, least, max_rows * most)
    data: Json = flat
    if sizes:
        nested = value
        for low, high in reversed(sizes):
            nested = _list(nested, low, high)
        data = {"anyOf": [flat, _list(nested, 1, max_rows)]}
    return {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "additionalProperties": False,
        "properties": {
            **_kind(tensor),
            "shape": {
                "type": "array",
                "prefixItems": [
                    {"type": "integer", "minimum": 1, "maximum": max_rows},
                    *(
                        {"const": low}
                        if low == high
                        else {"type": "integer", "minimum": low, "maximum": high}
                        for low, high in sizes
                    ),
                ],
                "minItems": len(tensor.shape),
                "maxItems": len(tensor.shape),
            },
            "parameters": _in_json(parameters.schema(parameters.INPUT)),
            "data": data,
        },
    }


def _sizes(tensor: Tensor) -> list[tuple[int, int]]:
    """Return the least and the most of each dimension after the first."""
    return [
        (1 if size == FREE else size, tensor.most(axis))
        for axis, size in enumerate(tensor.shape)
        if axis
    ]


def _in_json(schema: Json) -> Json:
    """Return the schema of an input's parameters where its data stands in the JSON."""
    schema["properties"]["binary_data_size"] = {"type": "null"}
    return schema


def _output(tensor: Tensor) -> Json:
    """Return the schema of an output; as raw bytes it has a size in place of data."""
    size = {"type": "integer", "minimum": 0}
    rank = len(tensor.shape)
    return {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            **_kind(tensor),
            "shape": _list(
                # A model may find nothing.
                {"type": "integer", "minimum": 0 if tensor.is_free else 1},
                rank,
                rank,
            ),
            "data": {"type": "array", "items": _value(tensor)},
            "parameters": {
                "type": "object",
                "properties": {"binary_data_size": size},
            },
        },
    }


def _kind(tensor: Tensor) -> Json:
    return {
        "name": {"const": tensor.name},
        "datatype": {"const": tensor.datatype},
    }


def _list(items: Json, least: int, most: int) -> Json:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _value(tensor: Tensor) -> Json:
    """Return the schema of one value: what its datatype can hold, and JSON can say."""
    value = _of_datatype(tensor.datatype)
    if tensor.missing_values:
        value["type"] = [value["type"], "null"]
    return value


def _of_datatype(name: str) -> Json:
    if name == "BYTES":
        return {"type": "string"}
    if name == "BOOL":
        return {"type": "boolean"}
    if DATATYPES[name].is_floating:
        bound = _FLOAT_BOUNDS.get(name)
        if bound is None:
            return {"type": "number"}
        return {"type": "number", "exclusiveMinimum": -bound, "exclusiveMaximum": bound}
    bits = DATATYPES[name].dtype.itemsize * 8
    if name.startswith("U"):
        return {"type": "integer", "minimum": 0, "maximum": 2**bits - 1}
    half = 2 ** (bits - 1)
    return {"type": "integer", "minimum": -half, "maximum": half - 1}
