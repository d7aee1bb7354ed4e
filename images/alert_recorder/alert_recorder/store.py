"""Storage of records: the newest in memory, all of them in rotated files."""

from __future__ import annotations

import heapq
import json
import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from alert_recorder.log import log
from alert_recorder.records import Record, record_of

MAXIMUM_RECORDS = 1_000
MAXIMUM_BYTES = 8 << 20
"""Maximum size of all records in memory."""
MAXIMUM_FILE_BYTES = 8 << 20
FILES_KEPT = 3


class Store:
    """The last records in memory, all of them in rotated files if a folder is given.

    What makes room is the oldest record that is not the last word on an alert that
    still fires. If all are, the alert name with the most records gives its oldest: so
    many alerts of one name push out no other.
    """

    def __init__(self, folder: Path | None) -> None:
        self.counts: Counter[str] = Counter()
        self._path = folder / "alerts.jsonl" if folder else None
        self._records: list[Record] = []
        self._bytes = 0
        self._last: dict[str, Record] = {}
        """The last record of each alert, by its labels."""
        for path in reversed(self._files()):
            self._read(path)

    def add(self, records: list[Record]) -> None:
        for record in records:
            self._keep(record)
            self.counts["firing" if record.is_firing else "resolved"] += 1
        self._make_room()
        try:
            self._write(records)
        except OSError as error:
            # A full disk must not lose the alert that may well be about it.
            self.counts["write_error"] += 1
            log(f"records not written: {error}", level="error")

    def select(self, name: str, status: str) -> list[Record]:
        """Records in the order of arrival; an empty argument selects all."""
        return [
            record
            for record in self._records
            if name in ("", record.name) and status in ("", record.status)
        ]

    def _keep(self, record: Record) -> None:
        self._records.append(record)
        self._bytes += len(record.text)
        self._last[record.alert] = record

    def _make_room(self) -> None:
        """Drop what is too much."""
        count = len(self._records)
        dropped = set()
        for record in self._by_worth():
            if count <= MAXIMUM_RECORDS and self._bytes <= MAXIMUM_BYTES:
                break
            dropped.add(record)
            count -= 1
            self._bytes -= len(record.text)
            if self._last[record.alert] is record:
                del self._last[record.alert]
        if dropped:
            self._records = [it for it in self._records if it not in dropped]

    def _by_worth(self) -> Iterator[Record]:
        """Yield the records, first those that go first."""
        firing: dict[str, deque[tuple[int, Record]]] = defaultdict(deque)
        for number, record in enumerate(list(self._records)):
            if record.is_firing and self._last[record.alert] is record:
                firing[record.name].append((number, record))
            else:
                yield record
        names = [(-len(those), those[0][0], name) for name, those in firing.items()]
        heapq.heapify(names)
        while names:
            those = firing[heapq.heappop(names)[-1]]
            yield those.popleft()[1]
            if those:
                heapq.heappush(names, (-len(those), those[0][0], those[0][1].name))

    def _files(self) -> list[Path]:
        """All files there are, the newest first."""
        if self._path is None:
            return []
        older = [Path(f"{self._path}.{n}") for n in range(1, FILES_KEPT)]
        return [path for path in [self._path, *older] if path.is_file()]

    def _read(self, path: Path) -> None:
        with path.open(errors="replace") as lines:
            for line in lines:
                try:
                    self._keep(record_of(json.loads(line)))
                except (ValueError, KeyError, TypeError):
                    self.counts["unreadable"] += 1  # cut off by a crash
                if self._bytes > 2 * MAXIMUM_BYTES:
                    self._make_room()
        self._make_room()

    def _write(self, records: list[Record]) -> None:
        if self._path is None:
            return
        with self._path.open("a+b") as file:
            if _is_cut_off(file):
                file.write(b"\n")  # else it would take the next record with it
            file.writelines(record.text + b"\n" for record in records)
            size = file.tell()
        if size >= MAXIMUM_FILE_BYTES:
            for number in range(FILES_KEPT - 1, 0, -1):
                newer = f"{self._path}.{number - 1}" if number > 1 else self._path
                if Path(newer).is_file():
                    Path(newer).replace(f"{self._path}.{number}")


def _is_cut_off(file: BinaryIO) -> bool:
    """Return whether the last line has no end, after a crash or with a full disk."""
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
