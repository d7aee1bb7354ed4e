"""BF16 for numpy, which has no such type: the 16 bits in, FP32 out.

A BF16 is the upper half of the FP32 with the same value, so FP32 holds each exactly.
"""

from __future__ import annotations

import numpy as np

from model_server.outputs import Array


def from_floats(values: Array) -> Array:
    """Return FP32 values as the nearest BF16, ties to even: uint16 of the same shape.

    What is too large becomes infinite and NaN stays NaN, as in IEEE 754.
    """
    floats = np.ascontiguousarray(values, "<f4")
    bits = floats.view("<u4")
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    # A NaN's carry could make it a zero; one quiet NaN stands for all.
    return np.where(np.isnan(floats), 0x7FC0, rounded).astype("<u2")


def to_floats(bits: Array) -> Array:
    """Return the FP32 values of BF16's bits: float32 of the same shape."""
    return (np.asarray(bits, "<u2").astype("<u4") << 16).view("<f4")
