"""Numbers and booleans of a request: from JSON or raw bytes to a buffer."""

from __future__ import annotations

import math
import struct

import numpy as np

from model_server.bfloat16 import from_floats, to_floats
from model_server.buffers import Buffer
from model_server.datatypes import BFLOAT16, DATATYPES
from model_server.errors import RequestError, invalid
from model_server.outputs import Array
from model_server.tensor import Tensor
from model_server.wording import shown


class NumberValues:
    """Reads the values of one input of any datatype but BYTES."""

    def __init__(self, tensor: Tensor) -> None:
        self._datatype = DATATYPES[tensor.datatype]
        self._is_fixed = tensor.is_fixed
        self._is_bfloat16 = tensor.datatype == BFLOAT16
        self._may_miss = tensor.missing_values
        self._width = tensor.width if tensor.is_fixed else 0
        self._pack_one = struct.Struct(f"<{self._width}{self._datatype.code}").pack

    def from_json(
        self,
        data: list[object],
        rows: int,
        tail: list[int],
        path: str,
        has_booleans: bool,
    ) -> Buffer:
        """Return the values of a flat list; where NaN may be, null is it."""
        if self._may_miss and None in data:
            data = [math.nan if value is None else value for value in data]
        packed = self._packed(data, path, has_booleans)
        if self._is_bfloat16:
            packed = self._cut_to_bfloat16(packed, data, path)
        return packed if self._is_fixed else self._shaped(packed, rows, tail)

    def from_raw(
        self, data: memoryview, rows: int, tail: list[int], path: str
    ) -> Buffer:
        """Return the values of raw bytes, copied."""
        size = rows * math.prod(tail) * self._datatype.dtype.itemsize
        if data.nbytes != size:
            raise invalid(
                f"{path}.data",
                f"{data.nbytes} bytes, {self._datatype.name} of the shape "
                f"{[rows, *tail]} takes {size}",
            )
        packed = bytes(data)
        if self._datatype.is_floating:
            self._check_finite(packed, path)
        elif self._datatype.code == "?":
            fine = np.frombuffer(packed, np.uint8) <= 1
            if not fine.all():
                raise _at(fine, path, "neither 0 nor 1")
        return packed if self._is_fixed else self._shaped(packed, rows, tail)

    def _shaped(self, packed: bytes, rows: int, tail: list[int]) -> Array:
        array = np.frombuffer(packed, self._datatype.dtype)
        return array.reshape([rows, *tail])

    def _check_finite(self, packed: bytes, path: str) -> None:
        values = np.frombuffer(packed, self._datatype.dtype)
        if self._is_bfloat16:
            values = to_floats(values)
        fine = np.isfinite(values)
        if fine.all():
            return
        if self._may_miss:
            fine |= np.isnan(values)
            if fine.all():
                return
            raise _at(fine, path, "infinite")
        hint = ""
        if np.isnan(values[fine.argmin()]):
            hint = "; model.yaml can allow NaN by the input's missing_values: true"
        raise _at(fine, path, "not a finite number" + hint)

    def _packed(self, data: list[object], path: str, has_booleans: bool) -> bytes:
        if has_booleans or self._datatype.code == "?":
            self._check_types(data, path)
        try:
            if len(data) == self._width:
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
            raise self._misfit(number, value, path)

    def _misfit(self, number: int, value: object, path: str) -> RequestError:
        hint = ""
        if value is None and self._datatype.is_floating:
            hint = "; model.yaml can allow null by the input's missing_values: true"
        return invalid(
            f"{path}.data",
            f"value {number} (row by row) is {shown(value)}, which "
            f"{self._datatype.name} cannot hold{hint}",
        )

    def _cut_to_bfloat16(self, packed: bytes, data: list[object], path: str) -> bytes:
        bits = from_floats(np.frombuffer(packed, "<f4"))
        too_large = np.isinf(to_floats(bits))
        if too_large.any():
            number = int(too_large.argmax())
            raise self._misfit(number, data[number], path)
        return bits.tobytes()


def _at(fine: Array, path: str, what: str) -> RequestError:
    return invalid(f"{path}.data", f"value {int(fine.argmin())} (row by row) is {what}")
