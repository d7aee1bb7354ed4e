"""Reads one tensor of a request strictly, from JSON values or from raw bytes.

The reading trusts two facts: orjson refuses NaN, Infinity and numbers that overflow a
double, and `struct.pack` refuses what a datatype cannot hold. So the common request
costs one pass over its values. Raw bytes are held to the same: what JSON cannot say is
refused there too, so a request is right or wrong in every form alike.
"""

from __future__ import annotations

import itertools
import struct

import numpy as np
import orjson

from model_server.datatypes import DATATYPES
from model_server.errors import RequestError, invalid
from model_server.manifest import Tensor

TENSOR_KEYS = frozenset({"name", "shape", "datatype", "parameters", "data"})
SHOWN_CHARACTERS = 60


class TensorReader:
    """Reads one input tensor of one model."""

    def __init__(self, tensor: Tensor, max_rows: int) -> None:
        self._tensor = tensor
        self._datatype = DATATYPES[tensor.datatype]
        self._tail = list(tensor.shape[1:])
        self._rank = len(tensor.shape)
        self._types = (int,) * self._rank
        self._width = int(np.prod(self._tail, dtype=int)) if self._tail else 1
        self._max_rows = max_rows
        self._pack_one = struct.Struct(f"<{self._width}{self._datatype.code}").pack

    def read(self, entry: object, path: str, has_booleans: bool) -> tuple[int, bytes]:
        """Return the rows and their values packed row by row."""
        if type(entry) is not dict:
            raise invalid(path, f"must be a tensor object, not {shown(entry)}")
        name, datatype = entry.get("name"), entry.get("datatype")
        if name != self._tensor.name or datatype != self._tensor.datatype:
            self._check_kind(name, datatype, path)
        shape, data = entry.get("shape"), entry.get("data")
        if len(entry) != 4 or shape is None or data is None:
            _check_keys(entry, path)
        rows = self._rows(shape, path)
        if type(data) is not list:
            what = "must be a list, flat or nested"
            if "binary_data_size" in entry.get("parameters", {}):
                what += "; raw bytes need the header Inference-Header-Content-Length"
            raise invalid(f"{path}.data", what)
        if self._rank > 1 and data and type(data[0]) is list:
            data = _flatten(data, [rows, *self._tail], f"{path}.data")
        count = rows * self._width
        if len(data) != count:
            raise invalid(
                f"{path}.data",
                f"{len(data)} values, the shape {[rows, *self._tail]} holds {count}",
            )
        return rows, self._pack(data, rows, path, has_booleans)

    def read_binary(
        self, entry: object, data: memoryview, path: str
    ) -> tuple[int, bytes]:
        """Return the rows and values of a tensor whose bytes follow the JSON."""
        if type(entry) is not dict:
            raise invalid(path, f"must be a tensor object, not {shown(entry)}")
        _check_keys(entry, path)
        if "data" in entry:
            raise invalid(f"{path}.data", "stands beside binary_data_size; give one")
        name, datatype, shape = map(entry.get, ("name", "datatype", "shape"))
        return self.read_raw(name, datatype, shape, data, path)

    def read_raw(
        self,
        name: object,
        datatype: object,
        shape: object,
        data: memoryview,
        path: str,
    ) -> tuple[int, bytes]:
        """Return the rows and their values, which came packed, row by row.

        The bytes are copied, so the caller may reuse what holds them.
        """
        self._check_kind(name, datatype, path)
        rows = self._rows(shape, path)
        size = rows * self._width * self._datatype.dtype.itemsize
        if data.nbytes != size:
            raise invalid(
                f"{path}.data",
                f"{data.nbytes} bytes, {self._datatype.name} of the shape "
                f"{[rows, *self._tail]} takes {size}",
            )
        packed = bytes(data)
        if self._datatype.is_floating:
            fine = np.isfinite(np.frombuffer(packed, self._datatype.dtype))
        elif self._datatype.code == "?":
            fine = np.frombuffer(packed, np.uint8) <= 1
        else:
            return rows, packed
        if not fine.all():
            raise invalid(
                f"{path}.data",
                f"value {int(fine.argmin())} (row by row) is "
                + (
                    "not a finite number"
                    if self._datatype.is_floating
                    else "neither 0 nor 1"
                ),
            )
        return rows, packed

    def _check_kind(self, name: object, datatype: object, path: str) -> None:
        if name != self._tensor.name:
            raise invalid(
                f"{path}.name",
                f"{shown(name)} is not the model's input {self._tensor.name}",
            )
        if datatype != self._tensor.datatype:
            raise invalid(
                f"{path}.datatype",
                f"{shown(datatype)} is not the model's {self._tensor.datatype}",
            )

    def _rows(self, shape: object, path: str) -> int:
        """Return the rows of a shape that is the model's."""
        if (
            type(shape) is not list
            or tuple(map(type, shape)) != self._types
            or shape[0] < 1
            or shape[1:] != self._tail
        ):
            raise invalid(
                f"{path}.shape",
                f"{shown(shape)} is not the model's "
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
                f"value {number} (row by row) is {shown(value)}, which "
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


def _check_keys(entry: dict[str, object], path: str) -> None:
    if not entry.keys() <= TENSOR_KEYS:
        refuse_keys(path, entry, TENSOR_KEYS)
    check_parameters(f"{path}.parameters", entry)


def flag(holder: dict[str, object], key: str, path: str, *, default: bool) -> bool:
    """Return a boolean among an object's parameters; `path` ends in a dot."""
    parameters = holder.get("parameters")
    if type(parameters) is not dict or key not in parameters:
        return default
    value = parameters[key]
    if type(value) is not bool:
        raise invalid(f"{path}parameters.{key}", f"{shown(value)} must be a boolean")
    return value


def check_parameters(path: str, holder: dict[str, object]) -> None:
    if "parameters" in holder and type(holder["parameters"]) is not dict:
        raise invalid(path, "must be an object")


def refuse_keys(path: str, holder: dict[str, object], known: frozenset[str]) -> None:
    unknown = min(holder.keys() - known)
    raise invalid(
        path, f"unknown key {shown(unknown)}; known are {', '.join(sorted(known))}"
    )


def shown(value: object) -> str:
    """Return a value as JSON, cut to a length that an error message bears."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list) and any(isinstance(inner, list) for inner in value):
        return "a nested list"
    text = orjson.dumps(value).decode()
    if len(text) > SHOWN_CHARACTERS:
        text = text[:SHOWN_CHARACTERS] + "..."
    return text
