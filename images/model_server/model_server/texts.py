"""Texts as raw bytes: each after its length in 4 bytes, as the protocol has it.

https://github.com/kserve/open-inference-protocol, binary tensor data extension.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from model_server.errors import invalid

_LENGTH = struct.Struct("<I")


def pack_texts(texts: Iterable[object]) -> bytes:
    """Return texts, or bytes that stand for one, in the protocol's form."""
    parts: list[bytes] = []
    for value in texts:
        text = value if isinstance(value, bytes) else str(value).encode()
        parts += (_LENGTH.pack(len(text)), text)
    return b"".join(parts)


def unpack_texts(data: memoryview, count: int, path: str) -> list[str]:
    """Return so many texts; raise `RequestError` where the bytes are not those."""
    found: list[str] = []
    position = 0
    for number in range(count):
        start = position + _LENGTH.size
        if start > len(data):
            raise _ends_within(number, count, path)
        position = start + _LENGTH.unpack_from(data, position)[0]
        if position > len(data):
            raise _ends_within(number, count, path)
        try:
            found.append(str(data[start:position], "utf-8"))
        except UnicodeDecodeError:
            raise invalid(path, f"value {number} (row by row) is not UTF-8") from None
    if position < len(data):
        raise invalid(
            path, f"{len(data) - position} bytes follow the last of {count} texts"
        )
    return found


def _ends_within(number: int, count: int, path: str) -> Exception:
    return invalid(
        path,
        f"the bytes end within text {number} of {count}; each is its length in 4 bytes "
        "(little-endian) and then UTF-8",
    )
