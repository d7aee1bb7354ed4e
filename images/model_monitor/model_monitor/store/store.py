"""The store: a folder, and where in it everything lies (decision 0044)."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model_monitor.store import replacement, whole_files
from model_monitor.store.names import quoted


class StoreInUseError(Exception):
    """Another monitor has the store."""


@dataclass(frozen=True, order=True)
class Part:
    """Common values of the rows of one parquet file."""

    date: str
    """Day of the prediction in UTC, 2026-11-29."""
    hour: str
    """Two digits."""
    model: str
    revision: str


class Store:
    """Paths of the store below `root`. Nothing is read or written before `opened`."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.landing = self.root / "landing"
        self.received = self.landing / ".received"
        """A small file for each name that came, with the digest of its content."""
        self.predictions = self.root / "predictions"
        self.protected = self.root / "protected"
        self.labels = self.root / "labels"
        self.pending = self.labels / "pending"
        self.imported = self.labels / ".imported"
        """A small file for each label file, with its digest."""
        self.counts = self.root / "counts"
        self.results = self.root / "results"
        self.quarantine = self.root / "quarantine"
        self.chain = self.root / "audit" / "chain.jsonl"

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """Hold the store: make its folders, refuse a second monitor, tidy up.

        The kernel releases the lock however this process ends. Raises StoreInUseError.
        """
        for folder in (
            self.received,
            self.predictions,
            self.protected,
            self.pending,
            self.imported,
            self.counts,
            self.results,
            self.quarantine,
            self.chain.parent,
        ):
            whole_files.make_folder(folder)
        with (self.root / ".lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip() or "another process"
                raise StoreInUseError(
                    f"{self.root}: {holder} works in this store; two monitors must not "
                    "share one: end the other or give this one a folder of its own"
                ) from None
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            lock.flush()
            whole_files.clear_leftovers(self.root)
            replacement.finish(self.root)
            yield self

    def part(self, table: str, part: Part, name: str) -> Path:
        """Return where a landed file's rows of one part lie.

        table: "predictions" or "protected".
        """
        return (
            self.root
            / table
            / f"date={part.date}"
            / f"hour={part.hour}"
            / f"model={quoted(part.model)}"
            / f"revision={quoted(part.revision)}"
            / f"{name}.parquet"
        )

    def labels_of(self, date: str, model: str) -> Path:
        """Return the folder of the labels of one model's predictions of one day."""
        return self.labels / f"date={date}" / f"model={quoted(model)}"

    def counts_of(self, date: str, model: str) -> Path:
        """Return where the counts of one model's predictions of one day lie."""
        return self.counts / f"model={quoted(model)}" / f"date={date}.json"
