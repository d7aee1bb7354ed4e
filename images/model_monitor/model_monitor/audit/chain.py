"""The audit chain: a file to which entries are only ever added."""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import os
from pathlib import Path
from typing import Any

from model_monitor.audit.entry import Entry

ENTRY_BYTES = 1 << 20
"""The longest line; longer details belong into a file whose digest they give."""
MONITOR = "monitor"
"""The actor of what the monitor does by itself."""


class ChainError(Exception):
    """The end of the chain is broken, so that nothing can be added to it."""


class Chain:
    """Adds entries to the chain of `path`, whose folder must be there.

    Several processes may add: each does so under a lock of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(
        self,
        action: str,
        details: dict[str, Any],
        *,
        actor: str = MONITOR,
        now: dt.datetime | None = None,
    ) -> Entry:
        """Add an entry and return it when it is on disk.

        A last line that a killed write left unfinished is removed first; an entry
        `tail_cut` says so. Raises ChainError, TypeError for details without canonical
        JSON, ValueError if they are too long, and OSError, after which the chain is as
        before.
        """
        moment = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
        time = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            last, torn = self._end(descriptor, size)
            entries = []
            if torn:
                cut = {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
                last = Entry.after(
                    last, time=time, actor=MONITOR, action="tail_cut", details=cut
                )
                entries.append(last)
            entry = Entry.after(
                last, time=time, actor=actor, action=action, details=details
            )
            entries.append(entry)
            lines = b"".join(it.line() for it in entries)
            if len(lines) > ENTRY_BYTES:
                raise ValueError(
                    f"{action}: {len(lines)} bytes of details, at most {ENTRY_BYTES}; "
                    "write them to a file and give its digest"
                )
            self._write(descriptor, size - len(torn), lines)
        finally:
            os.close(descriptor)
        return entry

    def _end(self, descriptor: int, size: int) -> tuple[Entry | None, bytes]:
        """Return the last whole entry and what stands after it without a line feed."""
        window = min(size, 2 * ENTRY_BYTES)
        content = os.pread(descriptor, window, size - window)
        whole, feed, torn = content.rpartition(b"\n")
        if not feed:
            if size > window:
                raise ChainError(f"{self._path}: its end is not an entry; verify it")
            return None, torn
        try:
            return Entry.of_line(whole.rpartition(b"\n")[2]), torn
        except ValueError as error:
            raise ChainError(
                f"{self._path}: its last entry is broken ({error}); verify the chain, "
                "keep it as evidence and begin another"
            ) from None

    def _write(self, descriptor: int, size: int, lines: bytes) -> None:
        """Cut to the size, add the lines; after a failure leave only what was there."""
        os.ftruncate(descriptor, size)
        try:
            view = memoryview(lines)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
