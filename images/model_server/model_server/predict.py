"""TensorFlow Serving's REST predict: requests by rows or by columns, answers likewise.

https://github.com/tensorflow/serving/blob/master/tensorflow_serving/g3doc/api_rest.md
Values are held to the same as those of the Open Inference Protocol: NaN is null where
model.yaml allows it, an unknown key is refused, a text is UTF-8.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson

from model_server.body_text import not_json
from model_server.buffers import Buffer
from model_server.datatypes import TEXT
from model_server.dimensions import Dimensions
from model_server.errors import RequestError, invalid
from model_server.list_levels import not_nested
from model_server.manifest import Manifest
from model_server.outputs import Array, Outputs
from model_server.protocol import Inference
from model_server.tensor import FREE, Tensor
from model_server.tensor_reader import TensorReader, refuse_keys
from model_server.wording import kind_of, shown

ROWS, COLUMNS = "instances", "inputs"
_KEYS = frozenset({"signature_name", ROWS, COLUMNS})
_BASE64 = "b64"
_BYTES_SUFFIX = "_bytes"
"""Texts of an output so named are answered in Base64."""


class PredictReader:
    """Reads bodies of `:predict` for one model."""

    def __init__(self, manifest: Manifest, max_rows: int) -> None:
        self._tensors = {tensor.name: tensor for tensor in manifest.inputs}
        self._readers = {
            tensor.name: TensorReader(tensor, max_rows) for tensor in manifest.inputs
        }
        self._only = manifest.inputs[0].name if len(manifest.inputs) == 1 else ""
        self._dimensions = Dimensions(manifest.inputs)
        self._signature = manifest.signature
        outputs = manifest.outputs
        self._write: dict[str, Callable[[Outputs], bytes]] = {
            ROWS: lambda found: _by_rows(outputs, found),
            COLUMNS: lambda found: _by_columns(outputs, found),
        }

    def read(self, body: bytes | bytearray, json_bytes: int | None = None) -> Inference:
        """Read one body; raise `RequestError` where it is wrong."""
        if json_bytes is not None:
            raise invalid("$", "raw tensors are taken at /v2/models, not here")
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise not_json(str(error) if body else "the body is empty") from None
        if type(document) is not dict:
            raise invalid("$", f"must be an object, not {shown(document)}")
        if not document.keys() <= _KEYS:
            refuse_keys("$", document, _KEYS)
        signature = document.get("signature_name")
        if signature is not None and signature not in ("", self._signature):
            raise invalid(
                "signature_name",
                f"{shown(signature)} is not served here; {self._signature} is",
            )
        if (ROWS in document) == (COLUMNS in document):
            raise invalid("$", f"give either {ROWS} (rows) or {COLUMNS} (columns)")
        form = ROWS if ROWS in document else COLUMNS
        given = document[form]
        columns = self._of_rows(given) if form == ROWS else self._of_columns(given)
        rows, buffers = self._buffers(form, columns)
        inference = Inference(None, rows, buffers, None)
        inference.write = self._write[form]
        return inference

    def _of_rows(self, rows: object) -> dict[str, Any]:
        """Return the values of each input, one for each row."""
        if type(rows) is not list or not rows:
            raise invalid(ROWS, "must be a list of at least one row")
        if not all(map(_is_named, rows)):
            if self._only and not any(map(_is_named, rows)):
                return {self._only: rows}
            names = ", ".join(self._tensors)
            raise invalid(ROWS, f"each row must be an object with {names}")
        for number, row in enumerate(rows):
            if row.keys() != self._tensors.keys():
                self._check_names(f"{ROWS}[{number}]", row)
        return {name: [row[name] for row in rows] for name in self._tensors}

    def _of_columns(self, columns: object) -> dict[str, Any]:
        if self._only and not _is_named(columns):
            return {self._only: columns}
        if type(columns) is not dict:
            names = ", ".join(self._tensors)
            raise invalid(COLUMNS, f"must be an object with {names}")
        self._check_names(COLUMNS, columns)
        return columns

    def _check_names(self, path: str, given: dict[str, Any]) -> None:
        names = ", ".join(self._tensors)
        for name in given:
            if name not in self._tensors:
                raise invalid(
                    path, f"{shown(name)} is not one of the model's inputs {names}"
                )
        if missing := [name for name in self._tensors if name not in given]:
            raise invalid(path, f"the model needs {', '.join(missing)} too")

    def _buffers(
        self, form: str, columns: dict[str, Any]
    ) -> tuple[int, Sequence[Buffer]]:
        first_rows = 0
        buffers: list[Buffer] = []
        for name, tensor in self._tensors.items():
            path = form if self._only else f"{form}.{name}"
            rows, buffer = self._read(tensor, columns[name], path)
            if buffers and rows != first_rows:
                first = next(iter(self._tensors))
                raise invalid(path, f"{rows} rows, but {first} has {first_rows}")
            first_rows = rows
            buffers.append(buffer)
        self._dimensions.check(buffers)
        return first_rows, buffers

    def _read(self, tensor: Tensor, data: Any, path: str) -> tuple[int, Buffer]:
        if type(data) is not list or not data:
            raise invalid(path, "must be a list with a value for each row")
        if tensor.datatype == TEXT:
            data = _decoded(data, path)
        entry = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": _shape_of(tensor, data, path),
            "data": data,
        }
        try:
            return self._readers[tensor.name].read(entry, path, has_booleans=True)
        except RequestError as error:
            raise _at(path, error) from None


def _is_named(value: object) -> bool:
    """Whether a value is an object with names, and not a text in Base64."""
    return type(value) is dict and value.keys() != {_BASE64}


def _shape_of(tensor: Tensor, data: list[Any], path: str) -> list[int]:
    """Return the shape of nested lists, as far as their first values tell."""
    shape, level = [len(data)], data
    for size in tensor.shape[1:]:
        level = level[0] if level else []
        if type(level) is not list:
            raise not_nested(path, list(tensor.shape))
        shape.append(len(level) if size == FREE else size)
    return shape


def _decoded(value: Any, path: str) -> Any:
    """Return nested lists with texts in place of those in Base64."""
    if type(value) is list:
        return [_decoded(one, path) for one in value]
    if type(value) is not dict:
        return value
    text = value.get(_BASE64)
    if len(value) != 1 or type(text) is not str:
        raise invalid(path, f"{kind_of(value)} is not text, nor one in {_BASE64}")
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise invalid(
            path, f"{_BASE64} must be the Base64 of UTF-8, which all texts here are"
        ) from None


def _at(path: str, error: RequestError) -> RequestError:
    """Return an error that names a place of this protocol."""
    message = error.message
    for part in ("data", "shape"):
        message = message.replace(f"{path}.{part}: ", f"{path}: ")
    return RequestError(
        error.status, error.code, message, path=path, headers=error.headers
    )


def _by_rows(tensors: Sequence[Tensor], outputs: Outputs) -> bytes:
    columns = _columns(tensors, outputs)
    if len(columns) == 1:
        return b'{"predictions":[%b]}' % b",".join(columns[0])
    heads = [orjson.dumps(tensor.name) + b":" for tensor in tensors]
    rows = [
        b"{%b}" % b",".join(map(bytes.__add__, heads, row))
        for row in zip(*columns, strict=True)
    ]
    return b'{"predictions":[%b]}' % b",".join(rows)


def _by_columns(tensors: Sequence[Tensor], outputs: Outputs) -> bytes:
    lists = [b"[%b]" % b",".join(rows) for rows in _columns(tensors, outputs)]
    if len(lists) == 1:
        return b'{"outputs":%b}' % lists[0]
    names = (orjson.dumps(tensor.name) for tensor in tensors)
    members = [b"%b:%b" % pair for pair in zip(names, lists, strict=True)]
    return b'{"outputs":{%b}}' % b",".join(members)


def _columns(tensors: Sequence[Tensor], outputs: Outputs) -> list[list[bytes]]:
    """Return each output's rows as JSON, nested in their shape."""
    return [
        _rows(tensor, array, texts)
        for tensor, array, texts in zip(
            tensors, outputs.arrays, outputs.texts(), strict=True
        )
    ]


def _rows(tensor: Tensor, array: Array, texts: list[bytes]) -> list[bytes]:
    """Return one output's rows; `texts` has their values flat."""
    if tensor.datatype == TEXT and tensor.name.endswith(_BYTES_SUFFIX):
        return [orjson.dumps(_encoded(row)) for row in array.tolist()]
    if array.ndim == 1:
        return texts
    if array.ndim == 2:
        return [b"[%b]" % text for text in texts]
    if tensor.datatype == TEXT:
        return [orjson.dumps(row) for row in array.tolist()]
    option = orjson.OPT_SERIALIZE_NUMPY
    return [orjson.dumps(row, option=option) for row in np.ascontiguousarray(array)]


def _encoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_encoded(one) for one in value]
    return {_BASE64: base64.b64encode(value.encode()).decode()}
