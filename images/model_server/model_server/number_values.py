"""Numbers and booleans of a request: from JSON or raw bytes to a buffer."""

from __future__ import annotations

import io
import math
import struct

import numpy as np

from model_server.bfloat16 import from_floats, to_floats
from model_server.buffers import Buffer
from model_server.datatypes import BFLOAT16, DATATYPES
from model_server.errors import RequestError, invalid
from model_server.list_levels import Levels, wrong_count
from model_server.long_list import LongList
from model_server.outputs import Array
from model_server.tensor import Tensor
from model_server.wording import kind_of


class _Packed:
    """Values that are packed block by block, until one does not fit."""

    def __init__(self, count: int, itemsize: int, text_bytes: int) -> None:
        """`text_bytes`: what the values take in the body, two bytes each at least."""
        self.expected = count
        self.count = 0
        size = count * itemsize if count <= text_bytes else 0
        # The system gives the memory of these zeros page by page, as it is written.
        self.data = io.BytesIO(bytes(size))
        self.misfit: RequestError | None = None
        self.too_large: RequestError | None = None
        """Values that BF16 cannot hold are reported after those that FP32 cannot."""

    def whole(self) -> bytes:
        """Return all values, uncopied; raise where one does not fit."""
        if error := self.misfit or self.too_large:
            raise error
        return self.data.getvalue()


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
        if self._may_miss:
            data = _without_nulls(data)
        packed = self._packed(data, path, has_booleans)
        if self._is_bfloat16:
            packed = self._cut_to_bfloat16(packed, data, path)
        return packed if self._is_fixed else self._shaped(packed, rows, tail)

    def from_long(self, data: LongList, shape: list[int], path: str) -> Buffer:
        """Return the values of a list that is read in blocks, flat or of a shape."""
        count = math.prod(shape)
        is_nested = len(shape) > 1 and data.is_nested
        levels = Levels(shape if is_nested else [count])
        packed = _Packed(count, self._datatype.dtype.itemsize, data.text_bytes)
        for block in data.blocks():
            self._pack(packed, levels.flat(block), path, block.has_booleans)
        if is_nested:
            levels.check(f"{path}.data")
        elif levels.size != count:
            raise wrong_count(f"{path}.data", levels.size, shape)
        whole = packed.whole()
        return whole if self._is_fixed else self._shaped(whole, shape[0], shape[1:])

    def _pack(
        self, packed: _Packed, data: list[object], path: str, has_booleans: bool
    ) -> None:
        first = packed.count
        packed.count += len(data)
        if packed.misfit or packed.count > packed.expected:
            return
        if self._may_miss:
            data = _without_nulls(data)
        try:
            part = self._packed(data, path, has_booleans, first)
        except RequestError as error:
            packed.misfit = error
            return
        if self._is_bfloat16 and not packed.too_large:
            try:
                part = self._cut_to_bfloat16(part, data, path, first)
            except RequestError as error:
                packed.too_large = error
        packed.data.write(part)

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

    def _packed(
        self, data: list[object], path: str, has_booleans: bool, first: int = 0
    ) -> bytes:
        """Return values packed; errors number them from `first`."""
        if has_booleans or self._datatype.code == "?":
            self._check_types(data, path, first)
        try:
            if len(data) == self._width:
                return self._pack_one(*data)
            return struct.pack(f"<{len(data)}{self._datatype.code}", *data)
        except (struct.error, OverflowError):
            self._find_misfit(data, path, first)
            raise

    def _check_types(self, data: list[object], path: str, first: int) -> None:
        if not self._datatype.python_types.issuperset(map(type, data)):
            self._find_misfit(data, path, first)

    def _find_misfit(self, data: list[object], path: str, first: int) -> None:
        """Raise the error that names the first value the datatype cannot hold."""
        for number, value in enumerate(data, first):
            if type(value) in self._datatype.python_types:
                try:
                    struct.pack(f"<{self._datatype.code}", value)
                except (struct.error, OverflowError):
                    pass
                else:
                    continue
            raise self._misfit(number, value, path)

    def _misfit(self, number: int, value: object, path: str) -> RequestError:
        name, kind = self._datatype.name, kind_of(value)
        if type(value) in self._datatype.python_types:
            what = f"{kind} beyond the range of {name}"
        else:
            what = f"{kind}, which {name} cannot hold"
        if value is None and self._datatype.is_floating:
            what += "; model.yaml can allow null by the input's missing_values: true"
        return invalid(f"{path}.data", f"value {number} (row by row) is {what}")

    def _cut_to_bfloat16(
        self, packed: bytes, data: list[object], path: str, first: int = 0
    ) -> bytes:
        bits = from_floats(np.frombuffer(packed, "<f4"))
        too_large = np.isinf(to_floats(bits))
        if too_large.any():
            number = int(too_large.argmax())
            raise self._misfit(first + number, data[number], path)
        return bits.tobytes()


def _without_nulls(data: list[object]) -> list[object]:
    if None not in data:
        return data
    return [math.nan if value is None else value for value in data]


def _at(fine: Array, path: str, what: str) -> RequestError:
    return invalid(f"{path}.data", f"value {int(fine.argmin())} (row by row) is {what}")
