"""The Open Inference Protocol's datatypes: how JSON holds them and ONNX names them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Datatype:
    """One datatype: its names in the protocol, ONNX, `struct` and numpy."""

    name: str
    onnx: str
    code: str
    python_types: frozenset[type]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return np.dtype("<" + self.code if self.code != "?" else "?")

    @property
    def is_floating(self) -> bool:
        return float in self.python_types


_INTEGER = frozenset({int})
_FLOATING = frozenset({int, float})

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
        Datatype("FP32", "tensor(float)", "f", _FLOATING),
        Datatype("FP64", "tensor(double)", "d", _FLOATING),
    )
}
BY_ONNX_TYPE = {datatype.onnx: datatype for datatype in DATATYPES.values()}
STRING_ONNX_TYPE = "tensor(string)"
