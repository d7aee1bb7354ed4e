"""The files of the prediction log: named by host and time, finished by size and age."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

OPEN = ".part"
RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class FileKind:
    """A kind of log files: the prefix of their names, and who may read them."""

    prefix: str
    mode: int


PREDICTIONS = FileKind("predictions-", 0o640)
PROTECTED = FileKind("protected-", 0o600)


class LogFiles:
    """Appends to one open file of a kind, finishes it by renaming, bounds the total.

    Used by one thread. A file being written ends in `.jsonl.part`; what ends in
    `.jsonl` is complete and never changes. Names have the host's after the kind, so
    several pods can share a folder: each finishes and deletes only its own. The total
    is that of a host's files of all kinds.
    """

    def __init__(
        self,
        folder: Path,
        host: str,
        kind: FileKind,
        *,
        file_bytes: int,
        file_seconds: float,
        total_bytes: int,
    ) -> None:
        self._folder = folder
        self.kind = kind
        self._host = re.sub(r"[^A-Za-z0-9-]", "-", host) + "-"
        self._file_bytes = file_bytes
        self._file_seconds = file_seconds
        self._total_bytes = total_bytes
        self._number = 0
        self._descriptor = -1
        self._path = folder
        self._size = 0
        self._opened_at = 0.0
        self._failed_at = -RETRY_SECONDS
        self._failures = 0
        self.deleted = 0
        self._finish_left_files()

    @property
    def is_first_failure(self) -> bool:
        """Tell whether the last write failed and the one before it did not."""
        return self._failures == 1

    def write(self, text: bytes) -> None:
        """Append whole lines; raise OSError and keep none of them on failure."""
        if self._failures and time.monotonic() - self._failed_at < RETRY_SECONDS:
            raise OSError("the last write failed less than a second ago")
        try:
            if self._descriptor < 0:
                self._open()
            self._append(text)
        except OSError:
            self._failures += 1
            self._failed_at = time.monotonic()
            self._close()
            raise
        self._failures = 0

    @property
    def is_due(self) -> bool:
        """Return whether the open file is large or old enough to be finished."""
        return self._descriptor >= 0 and (
            self._size >= self._file_bytes
            or time.monotonic() - self._opened_at >= self._file_seconds
        )

    def finish(self) -> None:
        """Finish the open file, if there is one, and delete the oldest ones."""
        self._close()

    def _open(self) -> None:
        moment = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S")
        self._number += 1
        start = f"{self.kind.prefix}{self._host}{moment}"
        name = f"{start}-{os.getpid()}-{self._number:06d}.jsonl{OPEN}"
        self._path = self._folder / name
        self._descriptor = os.open(
            self._path,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND,
            self.kind.mode,
        )
        self._size = 0
        self._opened_at = time.monotonic()

    def _append(self, text: bytes) -> None:
        view = memoryview(text)
        written = 0
        try:
            while written < len(text):
                written += os.write(self._descriptor, view[written:])
        except OSError:
            # A full disk may have taken part of a line: leave only whole ones.
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += written

    def _close(self) -> None:
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        self._descriptor = -1
        with contextlib.suppress(OSError):
            if self._size:
                self._path.rename(self._path.with_suffix(""))
            else:
                self._path.unlink()
        self._delete_oldest()

    def _delete_oldest(self) -> None:
        files = [
            (file.name.removeprefix(kind.prefix), file)
            for kind in (PREDICTIONS, PROTECTED)
            for file in self._folder.glob(f"{kind.prefix}{self._host}*.jsonl")
        ]
        sizes = []
        for _, file in sorted(files):
            with contextlib.suppress(OSError):
                sizes.append((file, file.stat().st_size))
        total = sum(size for _, size in sizes)
        for file, size in sizes:
            if total <= self._total_bytes:
                return
            with contextlib.suppress(OSError):
                file.unlink()
                self.deleted += 1
                total -= size

    def _finish_left_files(self) -> None:
        """Finish what a killed process left: cut a torn last line, rename."""
        pattern = f"{self.kind.prefix}{self._host}*.jsonl{OPEN}"
        for file in sorted(self._folder.glob(pattern)):
            with file.open("r+b") as left:
                content = left.read()
                left.truncate(content.rfind(b"\n") + 1)
            if b"\n" in content:
                file.rename(file.with_suffix(""))
            else:
                file.unlink()
