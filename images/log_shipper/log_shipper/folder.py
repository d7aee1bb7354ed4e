"""The folder of the prediction log, as far as the shipper reads and changes it."""

from __future__ import annotations

import heapq
import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from log_shipper import names

REFUSED = "refused"
BATCH = 1_000
"""Files that one look returns; names alone are kept of the others."""
FRESH_SECONDS = 1.0
"""A folder that changed so shortly before a look may have changed after it without a
later time: file systems keep times in ticks, of 4 to 10 ms on Linux."""
LONGEST_SECONDS = 30.0
"""Longest time between two looks: clocks and file systems may misbehave."""


@dataclass(frozen=True, order=True)
class Waiting:
    """A finished file that waits; ordered from the oldest on."""

    modified_ns: int
    name: str
    size: int


@dataclass(frozen=True)
class Look:
    """The result of one look."""

    batch: list[Waiting]
    """The oldest files, oldest first."""
    waiting: int
    """All files that wait."""
    vanished: list[str]
    """Files of the last look that neither are there nor were sent: lost."""
    ignored: list[str]
    """Files with the names of finished files that are not finished."""


class LogFolder:
    """Finds finished files, notices those that vanish, and sets refused ones aside."""

    def __init__(self, path: Path, refused_bytes: int) -> None:
        self.path = path
        self._refused = path / REFUSED
        self._refused_bytes = refused_bytes
        self._known: set[str] = set()
        self._modified_ns = -1
        self._looked_at = 0.0
        """Wall clock, as the folder's own time."""
        self._looked_after = 0.0
        """Monotonic."""

    def has_changed(self) -> bool:
        """Tell whether a look may find something new; raise OSError.

        A folder's time changes with each name in it. One call of stat replaces a look
        at each of its files, of which a long outage leaves thousands.
        """
        settled = self._looked_at - self._modified_ns / 1e9 > FRESH_SECONDS
        recent = time.monotonic() - self._looked_after < LONGEST_SECONDS
        same = self.path.stat().st_mtime_ns == self._modified_ns
        return not (same and settled and recent)

    def look(self) -> Look:
        """Return what waits; raise OSError if the folder cannot be read."""
        self._looked_at, self._looked_after = time.time(), time.monotonic()
        self._modified_ns = self.path.stat().st_mtime_ns
        found: set[str] = set()
        ignored: list[str] = []
        batch = heapq.nsmallest(BATCH, self._files(found, ignored))
        vanished = sorted(self._known - found)
        self._known = found
        return Look(batch, len(found), vanished, sorted(ignored))

    def forget(self, name: str) -> None:
        """Say that a file was sent or set aside, so that it does not count as lost."""
        self._known.discard(name)

    def left(self) -> tuple[list[str], list[str]]:
        """Return the names of finished files and of open ones; raise OSError."""
        found = sorted(entry.name for entry in os.scandir(self.path))
        finished = [name for name in found if names.is_finished(name)]
        return finished, [name for name in found if names.is_open(name)]

    def refuse(self, name: str, **reason: object) -> list[str]:
        """Move a file to `refused` beside a file with the reason; raise OSError.

        Returns names of files that were deleted from there to keep its size.
        """
        self._refused.mkdir(exist_ok=True)
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = json.dumps({"name": name, "time": moment} | reason, indent=2)
        note = self._refused / f"{name}.reason.json"
        note.write_text(text + "\n")
        (self.path / name).replace(self._refused / name)
        self.forget(name)
        return self._delete_refused()

    def _files(self, found: set[str], ignored: list[str]) -> Iterator[Waiting]:
        """Yield finished files; add their names, and a few that are ignored."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                if not names.is_alike(entry.name):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(status.st_mode) and names.is_finished(entry.name):
                    found.add(entry.name)
                    yield Waiting(status.st_mtime_ns, entry.name, status.st_size)
                elif len(ignored) < 10:
                    ignored.append(entry.name)

    def _delete_refused(self) -> list[str]:
        """Delete the oldest refused files until the rest fits; return their names."""
        sizes = []
        for file in self._refused.glob(f"*{names.FINISHED}"):
            status = file.stat()
            sizes.append((status.st_mtime_ns, file, status.st_size))
        total = sum(size for _, _, size in sizes)
        deleted = []
        for _, file, size in sorted(sizes):
            if total <= self._refused_bytes:
                break
            file.unlink()
            Path(f"{file}.reason.json").unlink(missing_ok=True)
            deleted.append(file.name)
            total -= size
        return deleted
