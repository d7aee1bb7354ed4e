"""The values of one input of a request, or of several requests in one batch.

Rows that all take the same bytes are packed ones: joining and cutting them is what
`bytes` does, for the most of requests. Texts, and rows whose shape is free, are arrays.
BF16 is its 16 bits in both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model_server.bfloat16 import to_floats
from model_server.datatypes import BFLOAT16, DATATYPES
from model_server.outputs import Array
from model_server.tensor import FREE, Tensor

WARM_UP_SIZE = 32
"""Assumed size of a free dimension; image models halve theirs five times and still have
a pixel."""

TEXT_BYTES = 49
"""Size of a text's object besides its characters, in CPython 3.11 on 64 bits."""

Buffer = bytes | Array


def join(parts: Sequence[Buffer]) -> Buffer:
    """Return the rows of several requests, one after the other."""
    if isinstance(parts[0], bytes):
        return b"".join(parts)  # type: ignore[arg-type]
    return np.concatenate(parts)


def cut(buffer: Buffer, rows: int, start: int, stop: int) -> Buffer:
    """Return some of a buffer's rows, of which there are `rows`."""
    if isinstance(buffer, bytes):
        size = len(buffer) // rows
        return buffer[start * size : stop * size]
    return buffer[start:stop]


def sizes(buffers: Sequence[Buffer]) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of rows; only requests of the same can be joined."""
    return tuple(it.shape[1:] for it in buffers if not isinstance(it, bytes))


def size_of(buffer: Buffer) -> int:
    """Return about how many bytes of memory a buffer or an output holds."""
    if isinstance(buffer, bytes):
        return len(buffer)
    if buffer.dtype == object:
        texts = buffer.ravel().tolist()
        return buffer.nbytes + TEXT_BYTES * len(texts) + sum(map(len, texts))
    return buffer.nbytes


def row_bytes(tensors: Sequence[Tensor]) -> int | None:
    """Return the bytes of a row of all tensors; None if rows differ, or are texts."""
    if not all(tensor.is_fixed for tensor in tensors):
        return None
    return sum(it.width * DATATYPES[it.datatype].dtype.itemsize for it in tensors)


def as_array(tensor: Tensor, buffer: Buffer) -> Array:
    """Return a buffer's values, rows first; BF16 is its 16 bits."""
    if not isinstance(buffer, bytes):
        return buffer
    dtype = DATATYPES[tensor.datatype].dtype
    return np.frombuffer(buffer, dtype).reshape(tensor.shape)


def values(tensor: Tensor, buffer: Buffer) -> Array:
    """Return a buffer's values as numbers or texts, rows first."""
    array = as_array(tensor, buffer)
    return to_floats(array) if tensor.datatype == BFLOAT16 else array


def zeros(tensor: Tensor, rows: int) -> Buffer:
    """Return rows of zeros or empty texts; free dimensions have `WARM_UP_SIZE`."""
    datatype = DATATYPES[tensor.datatype]
    if tensor.is_fixed:
        return bytes(rows * datatype.dtype.itemsize * tensor.width)
    shape = [
        min(tensor.most(axis), WARM_UP_SIZE) if size == FREE else size
        for axis, size in enumerate(tensor.shape)
    ]
    shape[0] = rows
    if datatype.is_packed:
        return np.zeros(shape, datatype.dtype)
    return np.full(shape, "", object)
