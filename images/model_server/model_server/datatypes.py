"""The Open Inference Protocol's datatypes: how JSON holds them and ONNX names them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Datatype:
    """One datatype: its names in the protocol, ONNX, `struct` and numpy.

    `code` is what `struct` packs a value of JSON with; BF16, which `struct` has not, is
    cut from an FP32. `wire` is numpy's name of the packed form.
    """

    name: str
    onnx: str
    code: str
    python_types: frozenset[type]
    wire: str = ""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Return numpy's type of the packed form; BF16 is its 16 bits."""
        if self.code in {"?", "O"}:
            return np.dtype(self.code)
        return np.dtype("<" + (self.wire or self.code))

    @property
    def is_floating(self) -> bool:
        return float in self.python_types

    @property
    def is_packed(self) -> bool:
        """Return whether every value takes the same number of bytes; texts do not."""
        return self.code != "O"


_INTEGER = frozenset({int})
_FLOATING = frozenset({int, float})

TEXT = "BYTES"
BFLOAT16 = "BF16"
DATATYPES = {
    datatype.name: datatype
    for datatype in (
        Datatype("BOOL", "tensor(bool)", "?", frozenset({bool})),
        Datatype("UINT8", "tensor(uint8)", "B", _INTEGER),
        Datatype("UINT16", "tensor(uint16)", "H", _INTEGER),
        Datatype("UINT32", "tensor(uint32)", "I", _INTEGER),
        Datatype("UINT64", "tensor(uint64)", "Q", _INTEGER),
        Datatype("INT8", "tensor(int8)", "b", _INTEGER),
        Datatype("INT16", "tensor(int16)", "h", _INTEGER),
        Datatype("INT32", "tensor(int32)", "i", _INTEGER),
        Datatype("INT64", "tensor(int64)", "q", _INTEGER),
        Datatype("FP16", "tensor(float16)", "e", _FLOATING),
        Datatype(BFLOAT16, "tensor(bfloat16)", "f", _FLOATING, wire="u2"),
        Datatype("FP32", "tensor(float)", "f", _FLOATING),
        Datatype("FP64", "tensor(double)", "d", _FLOATING),
        Datatype(TEXT, "tensor(string)", "O", frozenset({str})),
    )
}
BY_ONNX_TYPE = {datatype.onnx: datatype for datatype in DATATYPES.values()}
