"""Which files an ONNX graph reads its weights from, beside its own.

The file is walked by its wire format in a memory map: the weights themselves are
skipped, so a graph of gigabytes costs a few pages. The numbers of the fields are those
of onnx.proto (https://github.com/onnx/onnx/blob/v1.23.0/onnx/onnx.proto).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

Content = bytes | mmap.mmap

_TENSOR = "TensorProto"
_ENTRY = "StringStringEntryProto"
_MESSAGES: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: _TENSOR, 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: _TENSOR,
        6: "GraphProto",
        10: _TENSOR,
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: _TENSOR, 2: _TENSOR},
}
"""Places of a tensor: message, field, and the message in that field."""

_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1
_KEY, _VALUE = 1, 2
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT = 10

Field = tuple[int, int, int, int]


def external_files(file: Path) -> set[str]:
    """Return the locations of the external data of all tensors of an ONNX file.

    They are as the graph has them, relative to its folder. Raises `ValueError` where
    the bytes are not a whole protobuf message, `OSError` where the file cannot be read.
    """
    with file.open("rb") as stream:
        try:
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # what is empty cannot be mapped, and has no tensors
            return set()
        with content:
            return set(_locations(content))


def _locations(content: mmap.mmap) -> Iterator[str]:
    # A stack of its own: subgraphs may be nested deeper than Python calls may.
    waiting = [("ModelProto", 0, len(content))]
    while waiting:
        message, start, end = waiting.pop()
        if message == _TENSOR:
            yield from _of_tensor(content, start, end)
            continue
        inner = _MESSAGES[message]
        for number, kind, begin, stop in fields(content, start, end):
            if kind == BYTES and number in inner:
                waiting.append((inner[number], begin, stop))


def _of_tensor(content: mmap.mmap, start: int, end: int) -> Iterator[str]:
    is_external = False
    found: list[str] = []
    for number, kind, begin, stop in fields(content, start, end):
        if number == _DATA_LOCATION and kind == VARINT:
            is_external = varint(content, begin, stop)[0] == _EXTERNAL
        elif number == _EXTERNAL_DATA and kind == BYTES:
            entry = {
                key: content[first:last]
                for key, _, first, last in fields(content, begin, stop)
            }
            if entry.get(_KEY) == b"location":
                found.append(entry.get(_VALUE, b"").decode())
    if is_external:
        yield from found


def fields(content: Content, start: int, end: int) -> Iterator[Field]:
    """Yield number, wire type, and where the value begins and ends, of each field."""
    position = start
    while position < end:
        tag, position = varint(content, position, end)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            begin, stop = position, varint(content, position, end)[1]
        elif kind == BYTES:
            size, begin = varint(content, position, end)
            stop = begin + size
        elif kind in _FIXED_SIZES:
            begin, stop = position, position + _FIXED_SIZES[kind]
        else:
            raise ValueError(f"a field of the unknown wire type {kind} at {position}")
        if stop > end:
            raise ValueError(f"it ends within a field that begins at {position}")
        yield number, kind, begin, stop
        position = stop


def varint(content: Content, position: int, end: int) -> tuple[int, int]:
    """Return a number of variable length, and the position behind it."""
    value = 0
    for index in range(_LONGEST_VARINT):
        if position + index >= end:
            break
        byte = content[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError(f"it ends within a number at {position}")
