"""The files of every cohort, with their sizes."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from model_monitor.counts.cohort import CohortKey
from model_monitor.store.store import Store

SETTLED_SECONDS = 2.0
"""A folder that changed more recently is read again: its time of change is coarser than
the time between two files."""


@dataclass
class CohortFiles:
    """Paths and bytes of one cohort's files, by content."""

    predictions: dict[Path, int] = field(default_factory=dict)
    protected: dict[Path, int] = field(default_factory=dict)
    labels: dict[Path, int] = field(default_factory=dict)

    def relative(self, root: Path) -> dict[str, int]:
        """Return all files by their path below `root`."""
        return {
            path.relative_to(root).as_posix(): size
            for table in (self.predictions, self.protected, self.labels)
            for path, size in table.items()
        }


class Listing:
    """Looks through a store; folders that did not change are not read again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folders: dict[Path, tuple[int, dict[str, int | None]]] = {}

    def cohorts(self) -> dict[CohortKey, CohortFiles]:
        """Return the files of every cohort, in the order of their paths."""
        found: dict[CohortKey, CohortFiles] = defaultdict(CohortFiles)
        for date, folder in self._named(self._store.predictions, "date"):
            self._hours(found, date, folder, "predictions")
        for date, folder in self._named(self._store.protected, "date"):
            self._hours(found, date, folder, "protected")
        for date, folder in self._named(self._store.labels, "date"):
            for model, part in self._named(folder, "model"):
                key = CohortKey(dt.date.fromisoformat(date), model)
                found[key].labels |= self._parquet(part)
        return dict(sorted(found.items()))

    def _hours(
        self,
        found: Mapping[CohortKey, CohortFiles],
        date: str,
        folder: Path,
        table: str,
    ) -> None:
        for _, hour in self._named(folder, "hour"):
            for model, part in self._named(hour, "model"):
                key = CohortKey(dt.date.fromisoformat(date), model)
                for _, revision in self._named(part, "revision"):
                    getattr(found[key], table).update(self._parquet(revision))

    def _named(self, folder: Path, key: str) -> Iterator[tuple[str, Path]]:
        """Yield the values and paths of folders `key=value` in a folder."""
        for name, size in self._content(folder).items():
            if size is None and name.startswith(f"{key}="):
                yield unquote(name.partition("=")[2]), folder / name

    def _parquet(self, folder: Path) -> dict[Path, int]:
        return {
            folder / name: size
            for name, size in self._content(folder).items()
            if size is not None and name.endswith(".parquet")
        }

    def _content(self, folder: Path) -> dict[str, int | None]:
        """Return names in a folder, sorted, with sizes; None is that of a folder."""
        try:
            changed = folder.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        known = self._folders.get(folder)
        if known and known[0] == changed:
            return known[1]
        found: dict[str, int | None] = {}
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda it: it.name):
                if not entry.name.startswith("."):
                    is_folder = entry.is_dir(follow_symlinks=False)
                    found[entry.name] = None if is_folder else entry.stat().st_size
        if time.time_ns() - changed > SETTLED_SECONDS * 1e9:
            self._folders[folder] = changed, found
        return found
