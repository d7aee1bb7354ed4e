"""One finished file: opened once, compressed anew whenever it is read."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from log_shipper import names
from log_shipper.compressed_reader import CompressedReader

READ_BYTES = 64 << 10


class FileTroubleError(Exception):
    """The local file cannot be read or deleted now, or was not finished after all."""


class FinishedFile:
    """A file that stays readable while it is sent, even if its name is deleted.

    A context manager. Nothing is kept on disk or in memory. The first of two passes
    finds the length and the digests, which sinks announce before they send.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; raise FileNotFoundError or FileTroubleError."""
        self.path = path
        self.name = names.shipped(path.name)
        # Links are not followed, and a pipe does not block.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            self._descriptor = os.open(path, flags)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise FileTroubleError(f"cannot be opened: {error}") from error
        self._stat = os.fstat(self._descriptor)
        self.compressed_bytes = 0
        self.sha256 = b""
        """Of the compressed file."""
        self.content_sha256 = ""
        """Hexadecimal, of the content: unlike the other, the same for every zlib."""
        try:
            self._measure()
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    @property
    def content_bytes(self) -> int:
        """Uncompressed."""
        return self._stat.st_size

    @property
    def day(self) -> str:
        """Day of the last write in UTC, 2026-11-29: the same at each attempt."""
        return dt.datetime.fromtimestamp(self._stat.st_mtime, dt.UTC).date().isoformat()

    @property
    def mode(self) -> int:
        """Permissions."""
        return stat.S_IMODE(self._stat.st_mode)

    def compressed(self) -> CompressedReader:
        """Return the compressed file; to read it may raise FileTroubleError.

        It raises before its last piece if the file has changed since it was opened:
        no sink gets a whole file of mixed content.
        """
        return CompressedReader(self._read, self.compressed_bytes)

    def delete(self) -> None:
        """Delete the file unless its name has other content by now.

        A name that is gone is no error. Raises FileTroubleError.
        """
        try:
            if _version(self.path.lstat()) != _version(self._stat):
                raise FileTroubleError("changed after it was read, so it is kept")
            self.path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise FileTroubleError(f"cannot be deleted: {error}") from error

    def _read(self, offset: int) -> bytes:
        wanted = min(READ_BYTES, self.content_bytes - offset)
        try:
            read = os.pread(self._descriptor, wanted, offset)
            now = os.fstat(self._descriptor)
        except OSError as error:
            raise FileTroubleError(f"cannot be read: {error}") from error
        if len(read) < wanted or _version(now) != _version(self._stat):
            raise FileTroubleError("changed while it was read")
        return read

    def _measure(self) -> None:
        if not stat.S_ISREG(self._stat.st_mode):
            raise FileTroubleError("is not a regular file")
        content, compressed = hashlib.sha256(), hashlib.sha256()
        reader = CompressedReader(self._read, seen=content.update)
        while piece := reader.read(READ_BYTES):
            compressed.update(piece)
        self.compressed_bytes = reader.tell()
        self.content_sha256 = content.hexdigest()
        self.sha256 = compressed.digest()


def _version(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes when a file's content does."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
