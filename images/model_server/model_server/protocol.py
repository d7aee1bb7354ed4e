"""Open Inference Protocol v2 in JSON: strict reading, quick writing.

The reading trusts two facts: orjson refuses NaN, Infinity and numbers that overflow a
double, and `struct.pack` refuses what a datatype cannot hold. So the common request
costs one pass over its values.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Sequence

import numpy as np
import orjson

from model_server.datatypes import DATATYPES
from model_server.errors import RequestError, invalid
from model_server.manifest import Manifest, Tensor
from model_server.model import Array

REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
REQUEST_KEYS = frozenset({"id", "parameters", "inputs", "outputs"})
TENSOR_KEYS = frozenset({"name", "shape", "datatype", "parameters", "data"})
OUTPUT_KEYS = frozenset({"name", "parameters"})
SHOWN_CHARACTERS = 60


class Inference:
    """A request that was read: its id (if any), rows, packed inputs, outputs wanted."""

    __slots__ = ("buffers", "id", "rows", "wanted")

    def __init__(
        self,
        request_id: str | None,
        rows: int,
        buffers: Sequence[bytes],
        wanted: tuple[int, ...] | None,
    ) -> None:
        self.id = request_id
        self.rows = rows
        self.buffers = buffers
        self.wanted = wanted


class Reader:
    """Reads request bodies for one model."""

    def __init__(self, manifest: Manifest, max_rows: int) -> None:
        self._tensors = [_TensorReader(tensor, max_rows) for tensor in manifest.inputs]
        self._positions = {
            tensor.name: index for index, tensor in enumerate(manifest.inputs)
        }
        self._outputs = {
            tensor.name: index for index, tensor in enumerate(manifest.outputs)
        }

    def read(self, body: bytes | bytearray) -> Inference:
        """Read one body; raise `RequestError` where it is wrong."""
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            what = str(error) if body else "the body is empty"
            raise RequestError(400, "invalid_json", f"not JSON: {what}") from None
        if type(document) is not dict:
            raise invalid("$", f"must be an object, not {_shown(document)}")
        if not document.keys() <= REQUEST_KEYS:
            _refuse_keys("$", document, REQUEST_KEYS)
        request_id = document.get("id")
        if request_id is not None and (
            type(request_id) is not str or not REQUEST_ID.fullmatch(request_id)
        ):
            raise invalid(
                "id",
                f"{_shown(request_id)} must be 1 to 128 of letters, digits and "
                "._:/+=@-",
            )
        _check_parameters("parameters", document)
        wanted = self._wanted(document["outputs"]) if "outputs" in document else None
        entries = document.get("inputs")
        if type(entries) is not list:
            raise invalid("inputs", "must be a list of tensors")
        # A JSON true would pass as the number 1; look closer only where one stands.
        has_booleans = b"true" in body or b"false" in body
        if len(self._tensors) == 1 and len(entries) == 1:
            rows, packed = self._tensors[0].read(entries[0], "inputs[0]", has_booleans)
            return Inference(request_id, rows, (packed,), wanted)
        return self._read_several(request_id, entries, wanted, has_booleans)

    def _read_several(
        self,
        request_id: str | None,
        entries: list[object],
        wanted: tuple[int, ...] | None,
        has_booleans: bool,
    ) -> Inference:
        buffers: dict[int, bytes] = {}
        first_rows = 0
        for number, entry in enumerate(entries):
            path = f"inputs[{number}]"
            name = entry.get("name") if type(entry) is dict else None
            position = self._positions.get(name) if type(name) is str else None
            if position is None:
                raise invalid(
                    f"{path}.name",
                    f"{_shown(name)} is none of the model's inputs "
                    f"{', '.join(self._positions)}",
                )
            if position in buffers:
                raise invalid(f"{path}.name", f"{_shown(name)} stands twice")
            rows, packed = self._tensors[position].read(entry, path, has_booleans)
            if buffers and rows != first_rows:
                raise invalid(
                    f"{path}.shape", f"{rows} rows, but inputs[0] has {first_rows}"
                )
            first_rows = rows
            buffers[position] = packed
        missing = [
            name for name, index in self._positions.items() if index not in buffers
        ]
        if missing:
            raise invalid("inputs", f"the model needs {', '.join(missing)} too")
        return Inference(
            request_id, first_rows, [buffers[i] for i in sorted(buffers)], wanted
        )

    def _wanted(self, outputs: object) -> tuple[int, ...] | None:
        if type(outputs) is not list:
            raise invalid("outputs", "must be a list of objects with a name")
        wanted = []
        for number, entry in enumerate(outputs):
            path = f"outputs[{number}]"
            if type(entry) is not dict:
                raise invalid(path, "must be an object with a name")
            if not entry.keys() <= OUTPUT_KEYS:
                _refuse_keys(path, entry, OUTPUT_KEYS)
            _check_parameters(f"{path}.parameters", entry)
            name = entry.get("name")
            index = self._outputs.get(name) if type(name) is str else None
            if index is None:
                raise invalid(
                    f"{path}.name",
                    f"{_shown(name)} is none of the model's outputs "
                    f"{', '.join(self._outputs)}",
                )
            if index in wanted:
                raise invalid(f"{path}.name", f"{_shown(name)} stands twice")
            wanted.append(index)
        return tuple(wanted) or None


class _TensorReader:
    """Reads one input tensor of one model."""

    def __init__(self, tensor: Tensor, max_rows: int) -> None:
        self._tensor = tensor
        self._datatype = DATATYPES[tensor.datatype]
        self._tail = list(tensor.shape[1:])
        self._rank = len(tensor.shape)
        self._width = int(np.prod(self._tail, dtype=int)) if self._tail else 1
        self._max_rows = max_rows
        self._pack_one = struct.Struct(f"<{self._width}{self._datatype.code}").pack

    def read(self, entry: object, path: str, has_booleans: bool) -> tuple[int, bytes]:
        """Return the rows and their values packed row by row."""
        if type(entry) is not dict:
            raise invalid(path, f"must be a tensor object, not {_shown(entry)}")
        if entry.get("name") != self._tensor.name:
            raise invalid(
                f"{path}.name",
                f"{_shown(entry.get('name'))} is not the model's input "
                f"{self._tensor.name}",
            )
        if entry.get("datatype") != self._tensor.datatype:
            raise invalid(
                f"{path}.datatype",
                f"{_shown(entry.get('datatype'))} is not the model's "
                f"{self._tensor.datatype}",
            )
        if not entry.keys() <= TENSOR_KEYS:
            _refuse_keys(path, entry, TENSOR_KEYS)
        _check_parameters(f"{path}.parameters", entry)
        rows = self._rows(entry.get("shape"), path)
        data = entry.get("data")
        if type(data) is not list:
            raise invalid(f"{path}.data", "must be a list, flat or nested")
        if self._rank > 1 and data and type(data[0]) is list:
            data = _flatten(data, [rows, *self._tail], f"{path}.data")
        count = rows * self._width
        if len(data) != count:
            raise invalid(
                f"{path}.data",
                f"{len(data)} values, the shape {[rows, *self._tail]} holds {count}",
            )
        return rows, self._pack(data, rows, path, has_booleans)

    def _rows(self, shape: object, path: str) -> int:
        """Return the rows of a shape that is the model's."""
        if (
            type(shape) is not list
            or set(map(type, shape)) != {int}
            or shape[0] < 1
            or shape[1:] != self._tail
        ):
            raise invalid(
                f"{path}.shape",
                f"{_shown(shape)} is not the model's "
                f"{[-1, *self._tail]} (-1: any number of rows from 1)",
            )
        rows: int = shape[0]
        if rows > self._max_rows:
            raise RequestError(
                413,
                "too_many_rows",
                f"{rows} rows, one request may have {self._max_rows}; send several",
                path=f"{path}.shape",
            )
        return rows

    def _pack(
        self, data: list[object], rows: int, path: str, has_booleans: bool
    ) -> bytes:
        if has_booleans or self._datatype.code == "?":
            self._check_types(data, path)
        try:
            if rows == 1:
                return self._pack_one(*data)
            return struct.pack(f"<{len(data)}{self._datatype.code}", *data)
        except (struct.error, OverflowError):
            self._find_misfit(data, path)
            raise

    def _check_types(self, data: list[object], path: str) -> None:
        if not self._datatype.python_types.issuperset(map(type, data)):
            self._find_misfit(data, path)

    def _find_misfit(self, data: list[object], path: str) -> None:
        """Raise the error that names the first value the datatype cannot hold."""
        for number, value in enumerate(data):
            if type(value) in self._datatype.python_types:
                try:
                    struct.pack(f"<{self._datatype.code}", value)
                except (struct.error, OverflowError):
                    pass
                else:
                    continue
            raise invalid(
                f"{path}.data",
                f"value {number} (row by row) is {_shown(value)}, which "
                f"{self._datatype.name} cannot hold",
            )


def _flatten(data: list[object], shape: list[int], path: str) -> list[object]:
    """Return nested lists as a flat one; raise where they are not of the shape."""
    level = data
    for depth, size in enumerate(shape):
        if depth:
            if set(map(type, level)) != {list}:
                raise invalid(path, f"is not nested in the shape {shape}")
            wrong = {len(inner) for inner in level} - {size}  # type: ignore[arg-type]
            level = list(itertools.chain.from_iterable(level))  # type: ignore[arg-type]
        else:
            wrong = {len(level)} - {size}
        if wrong:
            raise invalid(
                path,
                f"a list of {wrong.pop()} at depth {depth + 1}, the shape {shape} has "
                f"{size}",
            )
    return level


def _check_parameters(path: str, holder: dict[str, object]) -> None:
    if "parameters" in holder and type(holder["parameters"]) is not dict:
        raise invalid(path, "must be an object")


def _refuse_keys(path: str, holder: dict[str, object], known: frozenset[str]) -> None:
    unknown = min(holder.keys() - known)
    raise invalid(
        path, f"unknown key {_shown(unknown)}; known are {', '.join(sorted(known))}"
    )


def _shown(value: object) -> str:
    """Return a value as JSON, cut to a length that an error message bears."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list) and any(isinstance(inner, list) for inner in value):
        return "a nested list"
    text = orjson.dumps(value).decode()
    if len(text) > SHOWN_CHARACTERS:
        text = text[:SHOWN_CHARACTERS] + "..."
    return text


class Writer:
    """Writes answers of one model from texts of rows made once per batch."""

    def __init__(self, manifest: Manifest) -> None:
        name = orjson.dumps(manifest.name)
        version = orjson.dumps(manifest.version)
        self._start = b'{"model_name":%b,"model_version":%b,"id":"' % (name, version)
        self._all = tuple(range(len(manifest.outputs)))
        self._heads = []
        for tensor in manifest.outputs:
            head = b'{"name":%b,"datatype":"%b","shape":[' % (
                orjson.dumps(tensor.name),
                tensor.datatype.encode(),
            )
            tail = b"".join(b",%d" % size for size in tensor.shape[1:])
            self._heads.append((head, tail + b'],"data":['))

    def write(
        self,
        request_id: str,
        rows: int,
        wanted: tuple[int, ...] | None,
        outputs: Sequence[Sequence[bytes]],
    ) -> bytes:
        """Return the body: `outputs` holds each output's rows as comma-joined text."""
        tensors = []
        for index in wanted or self._all:
            before, after = self._heads[index]
            tensors.append(
                b"%b%d%b%b]}" % (before, rows, after, b",".join(outputs[index]))
            )
        return b'%b%b","outputs":[%b]}' % (
            self._start,
            request_id.encode(),
            b",".join(tensors),
        )


def rows_as_text(array: Array) -> list[bytes]:
    """Return each row's values as JSON text joined by commas.

    A value that is not finite shows as null.
    """
    if array.dtype == object:
        flat = array.reshape(len(array), -1)
        return [orjson.dumps(list(row))[1:-1] for row in flat]
    if array.ndim == 1:
        text = orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)
        return text[1:-1].split(b",")
    if array.ndim > 2:
        array = array.reshape(len(array), -1)
    text = orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)
    return text[2:-2].split(b"],[")
