"""The newest entries of the audit chain, and whether all of it is intact."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_monitor.audit import Entry, Verdict, verify

WINDOW_BYTES = 4 << 20
"""Size of the chain's end that is searched for the newest entries."""
WHOLE_AFTER_SECONDS = 86_400.0
"""After which entries that were verified before are read again."""
DETAILS_BYTES = 16 << 10
"""Longer details are not sent, only how long they are."""


@dataclass(frozen=True)
class _Known:
    """The last verification: the file at that time, and the result."""

    inode: int
    size: int
    modified: int
    """Nanoseconds since 1970."""
    verdict: Verdict
    answer: dict[str, Any]
    whole: float
    """When all entries were read, by the clock."""

    def is_of(self, status: os.stat_result) -> bool:
        found = (status.st_ino, status.st_size, status.st_mtime_ns)
        return found == (self.inode, self.size, self.modified)

    def has_grown(self, status: os.stat_result) -> bool:
        """Tell whether the file is the same with more in it."""
        return status.st_ino == self.inode and status.st_size > self.size


class AuditTrail:
    """Reads one chain; used by several threads."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._known: _Known | None = None

    def newest(self, limit: int) -> dict[str, Any]:
        """Return the newest entries, the newest first, and what verification found.

        `entries` has fewer than `limit` where the chain has, or where the newest ones
        are longer together than 4 MiB. A chain that is not there has no entries, and
        `verification` is null; so it is while the chain is read for the first time.
        """
        try:
            verification = self._verification()
            lines = self._end()
        except FileNotFoundError:
            return {"entries": [], "verification": None}
        entries = [_entry(line) for line in lines[-limit:]]
        return {"entries": entries[::-1], "verification": verification}

    def _verification(self) -> dict[str, Any] | None:
        """Verify what is new, or wait for nobody and return the last verdict.

        All entries are read where the file has changed but by growing, and once a day.
        """
        status = self._path.stat()
        if self._lock.acquire(blocking=False):
            try:
                self._known = self._verified(status)
            finally:
                self._lock.release()
        known = self._known
        return known.answer if known else None

    def _verified(self, status: os.stat_result) -> _Known:
        known, now = self._known, self._clock()
        is_fresh = known is not None and now - known.whole < WHOLE_AFTER_SECONDS
        if known and is_fresh and known.is_of(status):
            return known
        if known is None or not is_fresh or not known.has_grown(status):
            known = None
        verdict = self._verify(known.verdict if known else None)
        return _Known(
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            verdict,
            _verdict_json(verdict),
            known.whole if known else now,
        )

    def _verify(self, since: Verdict | None) -> Verdict:
        found = verify(self._path, since=since)
        if found.broken is None or found.broken.what != "tail":
            return found
        # An entry may just have been written: writers hold the lock of the file.
        with self._path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return verify(self._path, since=found)

    def _end(self) -> list[bytes]:
        """Return the last whole lines."""
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - WINDOW_BYTES))
            content = file.read(WINDOW_BYTES)
        lines = content.split(b"\n")
        return lines[0 if size <= WINDOW_BYTES else 1 : -1]


def _verdict_json(found: Verdict) -> dict[str, Any]:
    broken, head = found.broken, found.head
    return {
        "is_intact": found.is_intact,
        "entries": found.entries,
        "checked": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "head": head and {"sequence": head.sequence, "hash": head.hash},
        "broken": broken
        and {"line": broken.line, "what": broken.what, "reason": broken.reason},
    }


def _entry(line: bytes) -> dict[str, Any]:
    """Return an entry as it is sent; for an invalid line, null except for the reason.

    A changed line may hold anything, and so is not sent itself.
    """
    try:
        entry = Entry.of_line(line)
    except ValueError as error:
        empty = dict.fromkeys(("sequence", "time", "actor", "action", "details"))
        return {**empty, "problem": str(error)}
    size = len(json.dumps(entry.details).encode())
    is_long = size > DETAILS_BYTES
    return {
        "sequence": entry.sequence,
        "time": entry.time,
        "actor": entry.actor,
        "action": entry.action,
        "details": {"left_out_bytes": size} if is_long else entry.details,
        "problem": None,
    }
