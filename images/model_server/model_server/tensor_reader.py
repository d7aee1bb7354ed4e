"""Reads one tensor of a request strictly, from JSON values or from raw bytes.

The reading trusts two facts: orjson refuses NaN, Infinity and numbers that overflow a
double, and `struct.pack` refuses what a datatype cannot hold. So the common request
costs one pass over its values. Raw bytes are held to the same: what JSON cannot say is
refused there too, so a request is right or wrong in every form alike.
"""

from __future__ import annotations

import itertools
import math

from model_server import parameters
from model_server.buffers import Buffer
from model_server.datatypes import DATATYPES
from model_server.errors import RequestError, invalid
from model_server.list_levels import not_nested, wrong_count, wrong_size
from model_server.long_list import LongList
from model_server.number_values import NumberValues
from model_server.tensor import FREE, Tensor
from model_server.text_values import TextValues
from model_server.wording import shown

TENSOR_KEYS = frozenset({"name", "shape", "datatype", "parameters", "data"})


class TensorReader:
    """Reads one input tensor of one model."""

    def __init__(self, tensor: Tensor, max_rows: int) -> None:
        self._tensor = tensor
        self._tail = list(tensor.shape[1:])
        self._rank = len(tensor.shape)
        self._types = (int,) * self._rank
        self._is_free = tensor.is_free
        self._width = 0 if tensor.is_free else tensor.width
        self._max_rows = max_rows
        self._values: NumberValues | TextValues = (
            NumberValues(tensor)
            if DATATYPES[tensor.datatype].is_packed
            else TextValues()
        )

    def read(self, entry: object, path: str, has_booleans: bool) -> tuple[int, Buffer]:
        """Return the rows and their values row by row."""
        if type(entry) is not dict:
            raise invalid(path, f"must be a tensor object, not {shown(entry)}")
        name, datatype = entry.get("name"), entry.get("datatype")
        if name != self._tensor.name or datatype != self._tensor.datatype:
            self._check_kind(name, datatype, path)
        shape, data = entry.get("shape"), entry.get("data")
        if len(entry) != 4 or shape is None or data is None:
            _check_keys(entry, path)
            if data is not None and _is_raw(entry):
                raise _twice(path)
        rows = self._rows(shape, path)
        tail, width = self._tail, self._width
        if self._is_free:
            tail = shape[1:]  # type: ignore[index]
            width = math.prod(tail)
        if type(data) is not list:
            return rows, self._long(entry, data, [rows, *tail], path)
        if self._rank > 1 and data and type(data[0]) is list:
            data = _flatten(data, [rows, *tail], f"{path}.data")
        count = rows * width
        if len(data) != count:
            raise wrong_count(f"{path}.data", len(data), [rows, *tail])
        return rows, self._values.from_json(data, rows, tail, path, has_booleans)

    def _long(
        self, entry: dict[str, object], data: object, shape: list[int], path: str
    ) -> Buffer:
        """Return the values of data that is not in memory as a list."""
        if isinstance(data, LongList) and isinstance(self._values, NumberValues):
            return self._values.from_long(data, shape, path)
        what = "must be a list, flat or nested"
        if _is_raw(entry):
            what += "; raw bytes need the header Inference-Header-Content-Length"
        raise invalid(f"{path}.data", what)

    def read_binary(
        self, entry: object, data: memoryview, path: str
    ) -> tuple[int, Buffer]:
        """Return the rows and values of a tensor whose bytes follow the JSON."""
        if type(entry) is not dict:
            raise invalid(path, f"must be a tensor object, not {shown(entry)}")
        _check_keys(entry, path)
        if entry.get("data") is not None:
            raise _twice(path)
        name, datatype, shape = map(entry.get, ("name", "datatype", "shape"))
        return self.read_raw(name, datatype, shape, data, path)

    def read_raw(
        self,
        name: object,
        datatype: object,
        shape: object,
        data: memoryview,
        path: str,
    ) -> tuple[int, Buffer]:
        """Return the rows and their values, which came packed, row by row.

        The bytes are copied, so the caller may reuse what holds them.
        """
        self._check_kind(name, datatype, path)
        rows = self._rows(shape, path)
        tail = shape[1:] if self._is_free else self._tail  # type: ignore[index]
        return rows, self._values.from_raw(data, rows, tail, path)

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
            or (shape[1:] != self._tail and not self._is_free)
        ):
            raise self._wrong_shape(shape, path)
        if self._is_free:
            self._check_sizes(shape, path)
        rows: int = shape[0]
        if rows > self._max_rows:
            raise RequestError(
                413,
                "too_many_rows",
                f"{rows} rows, one request may have {self._max_rows}; send several",
                path=f"{path}.shape",
            )
        return rows

    def _check_sizes(self, shape: list[int], path: str) -> None:
        """Raise where a dimension after the first is not one that the model takes."""
        sizes = zip(shape, self._tensor.shape, strict=True)
        for axis, (size, declared) in enumerate(sizes):
            if axis and (size < 1 or declared not in {FREE, size}):
                raise self._wrong_shape(shape, path)
            if axis and size > self._tensor.most(axis):
                most = [self._tensor.most(it) for it in range(1, self._rank)]
                raise invalid(
                    f"{path}.shape",
                    f"{shown(shape)} is larger than the model's max_shape "
                    f"{[FREE, *most]}",
                )

    def _wrong_shape(self, shape: object, path: str) -> RequestError:
        meaning = "any number of rows from 1"
        if self._is_free:
            meaning += ", then any size from 1"
        return invalid(
            f"{path}.shape",
            f"{shown(shape)} is not the model's {list(self._tensor.shape)} "
            f"(-1: {meaning})",
        )


def _flatten(data: list[object], shape: list[int], path: str) -> list[object]:
    """Return nested lists as a flat one; raise where they are not of the shape."""
    level = data
    for depth, size in enumerate(shape):
        if depth:
            if set(map(type, level)) != {list}:
                raise not_nested(path, shape)
            wrong = {len(inner) for inner in level} - {size}  # type: ignore[arg-type]
            level = list(itertools.chain.from_iterable(level))  # type: ignore[arg-type]
        else:
            wrong = {len(level)} - {size}
        if wrong:
            raise wrong_size(path, shape, depth, wrong, size)
    return level


def _twice(path: str) -> RequestError:
    return invalid(f"{path}.data", "stands beside binary_data_size; give one")


def _check_keys(entry: dict[str, object], path: str) -> None:
    if not entry.keys() <= TENSOR_KEYS:
        refuse_keys(path, entry, TENSOR_KEYS)
    parameters.read(f"{path}.parameters", parameters.INPUT, entry.get("parameters"))


def _is_raw(entry: dict[str, object]) -> bool:
    """Whether an entry whose keys were checked says that its bytes follow the JSON."""
    given = entry.get("parameters")
    return isinstance(given, dict) and given.get("binary_data_size") is not None


def refuse_keys(path: str, holder: dict[str, object], known: frozenset[str]) -> None:
    unknown = min(holder.keys() - known)
    raise invalid(
        path, f"unknown key {shown(unknown)}; known are {', '.join(sorted(known))}"
    )
