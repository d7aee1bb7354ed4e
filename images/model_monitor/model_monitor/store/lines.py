"""The lines of one file, read in chunks of bounded size.

Compressed files are inflated as they are read, so that a small file that inflates to a
huge one stops at the bound.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from model_monitor.store.limits import Limits

_READ_BYTES = 1 << 20
_GZIP_WINDOW_BITS = 31
_GZIP_MAGIC = b"\x1f\x8b"
_MEMBERS = 1_000
"""Maximum members of one gzip file. Each copies the rest, so millions would take
hours."""


@dataclass(frozen=True)
class BadLine:
    """A line that is not kept; `reason` is a code, and a field if one is to blame."""

    line: int
    reason: str
    content: bytes


@dataclass(frozen=True)
class Chunk:
    """Whole lines, joined by line feeds. Lines that are already invalid are empty."""

    first_line: int
    """Its number in the file, from 1."""
    text: str
    bad: tuple[BadLine, ...] = ()


class FileTroubleError(Exception):
    """The file cannot be read to its end.

    `keeps_lines`: whether the part that was read is valid nevertheless.
    """

    def __init__(self, reason: str, *, keeps_lines: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.keeps_lines = keeps_lines


class LinesFile:
    """A landed file. `digest` and `count` are those of what was read so far."""

    def __init__(self, path: Path, limits: Limits, *, is_gzip: bool) -> None:
        self._path, self._limits, self._is_gzip = path, limits, is_gzip
        self._digest = hashlib.sha256()
        self.count = 0
        """Lines read."""

    @property
    def digest(self) -> str:
        """SHA-256 of the uncompressed content, in hexadecimal digits.

        Of the content, because another version of zlib compresses it to other bytes.
        """
        return self._digest.hexdigest()

    def measure(self) -> str:
        """Read the file without its lines and return its digest.

        Raises FileTroubleError.
        """
        for _ in self._pieces():
            pass
        return self.digest

    def chunks(self) -> Iterator[Chunk]:
        """Yield all lines; raise FileTroubleError where the file cannot be read on."""
        rest = bytearray()
        try:
            for piece in self._pieces():
                rest += piece
                end = 0
                if len(rest) >= self._limits.chunk_bytes:
                    end = rest.rfind(b"\n") + 1
                if end:
                    yield self._chunk(_start(rest, end - 1))
                    del rest[:end]
        except FileTroubleError:
            if end := rest.rfind(b"\n") + 1:
                yield self._chunk(_start(rest, end - 1))
            raise
        if rest:
            yield self._chunk(bytes(rest).removesuffix(b"\n"))

    def _chunk(self, content: bytes) -> Chunk:
        """Return the chunk of some lines, the last one without its line feed."""
        first = self.count + 1
        self.count += content.count(b"\n") + 1
        if not self._may_have_long_line(content):
            try:
                return Chunk(first, content.decode())
            except UnicodeDecodeError:
                pass
        return self._slow_chunk(first, content.split(b"\n"))

    def _may_have_long_line(self, content: bytes) -> bool:
        """Tell whether there is a stretch without a line feed, half as long as a line.

        A line that is too long has one that begins at a multiple of its length.
        """
        half = self._limits.line_bytes // 2
        return any(
            content.find(b"\n", start, start + half) < 0
            for start in range(0, len(content) - half, half)
        )

    def _slow_chunk(self, first: int, lines: list[bytes]) -> Chunk:
        """Look at each line by itself."""
        texts, bad = [], []
        for number, line in enumerate(lines, first):
            text, reason = "", ""
            if len(line) > self._limits.line_bytes:
                reason = "line_too_long"
            else:
                try:
                    text = line.decode()
                except UnicodeDecodeError:
                    reason = "not_utf8"
            texts.append(text)
            if reason:
                bad.append(BadLine(number, reason, line))
        return Chunk(first, "\n".join(texts), tuple(bad))

    def _pieces(self) -> Iterator[bytes]:
        """Yield the uncompressed content."""
        size = 0
        with _open(self._path, self._limits.file_bytes) as file:
            try:
                for piece in _inflated(file) if self._is_gzip else _plain(file):
                    size += len(piece)
                    if size > self._limits.text_bytes:
                        raise FileTroubleError("too_large", keeps_lines=True)
                    self._digest.update(piece)
                    yield piece
            except zlib.error:
                raise FileTroubleError("damaged_gzip", keeps_lines=False) from None


def _start(content: bytearray, size: int) -> bytes:
    """Return the first bytes, copied once."""
    with memoryview(content) as view, view[:size] as start:
        return bytes(start)


def _open(path: Path, most_bytes: int) -> BinaryIO:
    """Open a regular file that is not too large; a link is not followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size <= most_bytes:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    reason = "too_large" if stat.S_ISREG(status.st_mode) else "no_file"
    raise FileTroubleError(reason, keeps_lines=False)


def _plain(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_READ_BYTES):
        yield piece


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of all members of a gzip file (RFC 1952)."""
    data = file.read(_READ_BYTES)
    if not data.startswith(_GZIP_MAGIC):
        raise FileTroubleError("not_gzip", keeps_lines=False)
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(wbits=_GZIP_WINDOW_BITS)
        while not member.eof:
            piece = member.decompress(data, _READ_BYTES)
            if piece:
                yield piece
            if not member.eof:
                data = member.unconsumed_tail or file.read(_READ_BYTES)
                if not data and not piece:
                    raise FileTroubleError("truncated_gzip", keeps_lines=True)
        data = member.unused_data or file.read(_READ_BYTES)
        if not data:
            return
        if not data.startswith(_GZIP_MAGIC):
            break
    raise FileTroubleError("trailing_data", keeps_lines=True)
