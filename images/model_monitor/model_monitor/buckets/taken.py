"""The names that were taken from a bucket, by the days of its folders.

A text file for each day, one name a line, in the store's folder `buckets/`. It is
written after the file is safe in `landing/`: what a loss of power takes of it is
fetched again, and the store knows those files by their receipts.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

from model_monitor.buckets.address import Address
from model_monitor.store import whole_files
from model_monitor.store.store import Store

_START = "date="


class Taken:
    """Files that one prefix has provided; keeps the names of one day in memory."""

    def __init__(self, store: Store, address: Address) -> None:
        digest = hashlib.sha256(str(address).encode()).hexdigest()[:16]
        self._folder = store.root / "buckets" / digest
        self._day = ""
        self._names = set[str]()

    def has(self, day: str, name: str) -> bool:
        """Tell whether a name of a day (2026-11-29) was taken."""
        if day != self._day:
            self._names = set(self._lines(day))
            self._day = day
        return name in self._names

    def add(self, day: str, name: str) -> None:
        """Note a name."""
        whole_files.make_folder(self._folder)
        is_torn = self._is_torn(day)
        with self._path(day).open("a") as file:
            file.write(f"\n{name}\n" if is_torn else f"{name}\n")
        if day == self._day:
            self._names.add(name)

    def forget_before(self, first: dt.date) -> None:
        """Delete what was noted of days before."""
        for path in sorted(self._folder.glob(f"{_START}*")):
            if path.name < f"{_START}{first}":
                path.unlink(missing_ok=True)

    def _path(self, day: str) -> Path:
        return self._folder / f"{_START}{day}"

    def _lines(self, day: str) -> list[str]:
        try:
            # A truncated name does not exist in the bucket.
            return self._path(day).read_text(errors="replace").split("\n")
        except FileNotFoundError:
            return []

    def _is_torn(self, day: str) -> bool:
        """Tell whether the last line was cut off."""
        try:
            with self._path(day).open("rb") as file:
                end = file.seek(0, 2)
                file.seek(max(0, end - 1))
                return file.read(1) not in (b"", b"\n")
        except FileNotFoundError:
            return False
