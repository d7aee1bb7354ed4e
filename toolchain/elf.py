"""Whether a program needs shared libraries of its machine."""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER = struct.Struct("<4sBB10xHHIQQQIHHH")
"""ELF's header for 64 bits, little endian, up to the number of program headers
(https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html)."""
_BITS_64, _LITTLE_ENDIAN, _PT_INTERP = 2, 1, 3


def is_static(path: Path) -> bool:
    """Return whether a file is a 64-bit ELF program without a dynamic loader."""
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return False
        magic, bits, order, *_, offset, _, _, _, size, count = _HEADER.unpack(head)
        if (magic, bits, order) != (b"\x7fELF", _BITS_64, _LITTLE_ENDIAN):
            return False
        file.seek(offset)
        table = file.read(size * count)
    kinds = [struct.unpack_from("<I", table, n * size)[0] for n in range(count)]
    return _PT_INTERP not in kinds
