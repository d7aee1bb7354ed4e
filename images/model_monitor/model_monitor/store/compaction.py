"""Small files of one folder become a few larger ones.

Each landed file leaves a file in every hour, model and revision that it has rows of,
and each file of labels one in every day and model. Every kept file costs the monitor
memory and each query an opening. Once nothing has come to a folder for some time, its
files are joined.

Only such files are joined as cannot come again: those with a receipt. One that is still
in landing/, or whose labels still wait, would be written again under its own name.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from model_monitor.store import (
    protected_reads,
    receipts,
    replacement,
    whole_files,
)
from model_monitor.store.database import Connection, database, text
from model_monitor.store.limits import Limits
from model_monitor.store.parts import write_parquet
from model_monitor.store.store import Store

_JOINED = re.compile(r"joined-[0-9a-f]{32}\.parquet")
"""No other name is like it: a landed file's or a label file's has two endings."""


@dataclass(frozen=True)
class Compaction:
    """When and how files are joined."""

    quiet_seconds: float = 3600.0
    """Seconds without a change in a folder."""
    pause_seconds: float = 600.0
    """Between two looks through the store."""
    rows: int = 250_000
    """Maximum rows of a joined file: counting reads whole files into memory."""
    least_new: int = 8
    """Files that came after a folder's others were joined, before they are joined too.
    Each row is so written again a few times at most."""
    most_files: int = 2_000
    """Files that one pass joins, to limit its time; the next one continues."""
    group_files: int = 200
    """Files that are joined into one, to limit memory: all are open together."""


@dataclass
class Compacted:
    """The result of a pass over the store."""

    joined: int = 0
    """Files that were joined."""
    written: int = 0
    """Files that took their place."""
    failures: dict[str, str] = field(default_factory=dict)
    """Reason by folder: it stays as it is."""


class Compactor:
    """Joins the files of one store, which must be open; used by one thread."""

    def __init__(
        self,
        store: Store,
        *,
        compaction: Compaction | None = None,
        limits: Limits | None = None,
        is_stopping: Callable[[], bool] = bool,
    ) -> None:
        """is_stopping: is asked before each joined file is written."""
        self._is_stopping = is_stopping
        self._store, self._limits = store, limits or Limits()
        self._compaction = compaction or Compaction()
        self._next = 0.0
        """Of the monotonic clock."""
        self._seen: dict[Path, int] = {}
        """Folders with nothing to join, by the time of their last change."""
        self._begun: dict[Path, int] = {}
        """Folders with more to join, by the time when this changed them last."""

    def run(self, now: float | None = None) -> Compacted:
        """Look through the store, unless the last look was a short time ago.

        now: seconds since 1970. Raises OSError if old and new files lie side by side,
        which must not be read then; the next run tries to finish that first.
        """
        replacement.finish(self._store.root)
        result = Compacted()
        if time.monotonic() < self._next:
            return result
        quiet_since = (now or time.time()) - self._compaction.quiet_seconds
        for folder, landed, received in self._folders():
            if self._is_stopping() or self._left(result) < 2:
                return result
            if self._is_due(folder, quiet_since):
                self._look(folder, landed, received, result)
        self._next = time.monotonic() + self._compaction.pause_seconds
        return result

    def _left(self, result: Compacted) -> int:
        """Return how many files this look may still join."""
        return self._compaction.most_files - result.joined

    def _is_due(self, folder: Path, quiet_since: float) -> bool:
        changed = folder.stat().st_mtime_ns
        if self._begun.get(folder) == changed:
            return True
        return changed <= quiet_since * 1e9 and self._seen.get(folder) != changed

    def _look(
        self, folder: Path, waiting: Path, received: Path, result: Compacted
    ) -> None:
        """Join the files of a folder, and keep whether there are more."""
        has_more = False
        try:
            has_more = self._join(folder, waiting, received, result)
        except (duckdb.Error, OSError) as error:
            replacement.finish(self._store.root)
            relative = folder.relative_to(self._store.root).as_posix()
            result.failures[relative] = str(error).partition("\n")[0]
        kept, other = self._seen, self._begun
        if has_more:
            kept, other = other, kept
        kept[folder] = folder.stat().st_mtime_ns
        other.pop(folder, None)

    def _folders(self) -> Iterator[tuple[Path, Path, Path]]:
        """Yield each folder, and where its files' sources and receipts lie."""
        store = self._store
        for table in (store.predictions, store.protected):
            for folder in sorted(table.glob("date=*/hour=*/model=*/revision=*")):
                yield folder, store.landing, store.received
        for folder in sorted(store.labels.glob("date=*/model=*")):
            yield folder, store.pending, store.imported

    def _join(
        self, folder: Path, waiting: Path, received: Path, result: Compacted
    ) -> bool:
        """Join files of a folder that belong together; return whether more are left."""
        paths = sorted(folder.glob("*.parquet"))
        joined = [path for path in paths if _JOINED.fullmatch(path.name)]
        new = [
            path
            for path in paths
            if not _JOINED.fullmatch(path.name)
            and _is_done(path.name, waiting, received)
        ]
        if len(new) < (self._compaction.least_new if joined else 2):
            return False
        left = self._left(result)
        joined = joined[: left // 2]
        some = new[: left - len(joined)]
        has_more = len(some) < len(new)
        with database(self._store.root, self._limits.memory_mib) as connection:
            if not _have_like_columns(connection, [*joined, *some]):
                return False
            rows = _rows(connection, [*joined, *some])
            half = self._compaction.rows // 2
            small = [path for path in joined if rows[path] <= half]
            groups = list(self._groups([*small, *some], rows))
            self._note(connection, [path for group in groups for path in group])
            for group in groups:
                if self._is_stopping():
                    return True
                self._write(connection, folder, group)
                result.joined += len(group)
                result.written += 1
        # Files of which a whole look joins none are not tried again.
        return has_more and (bool(groups) or left < self._compaction.most_files)

    def _note(self, connection: Connection, paths: Sequence[Path]) -> None:
        """Record in the audit chain that protected attributes are read."""
        store = self._store
        own = [path for path in paths if path.is_relative_to(store.protected)]
        if own:
            rows = protected_reads.found(connection, store, own)
            protected_reads.note(store, "compaction", rows)

    def _groups(
        self, paths: Sequence[Path], rows: dict[Path, int]
    ) -> Iterator[list[Path]]:
        """Yield files that become one, two at least, in their order."""
        group: list[Path] = []
        count = 0
        for path in paths:
            is_full = len(group) == self._compaction.group_files
            if is_full or (group and count + rows[path] > self._compaction.rows):
                if len(group) > 1:
                    yield group
                group, count = [], 0
            group.append(path)
            count += rows[path]
        if len(group) > 1:
            yield group

    def _write(
        self, connection: Connection, folder: Path, paths: Sequence[Path]
    ) -> None:
        """Write the file that stands for others, and delete them."""
        content = [[path.name, _digest(path)] for path in paths]
        digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
        new = folder / f"joined-{digest}.parquet"
        with whole_files.temporary(folder) as written:
            write_parquet(
                connection,
                f"select * from {_read(paths)}",  # noqa: S608, paths are quoted
                written,
            )
            replacement.replace(self._store.root, written, new, paths)


def _is_done(name: str, waiting: Path, received: Path) -> bool:
    """Tell whether a file's source came wholly in and is gone."""
    source = name.removesuffix(".parquet")
    receipt = receipts.read(received, source)
    is_waiting = (waiting / source).exists() or (waiting / name).exists()
    return receipt is not None and receipt.is_complete and not is_waiting


def _have_like_columns(connection: Connection, paths: Sequence[Path]) -> bool:
    """Tell whether no two columns differ by the case of letters alone.

    DuckDB would make one of them.
    """
    found = connection.execute(
        f"select distinct name from parquet_schema({_list(paths)})"  # noqa: S608
    ).fetchall()
    return len({column.casefold() for (column,) in found}) == len(found)


def _rows(connection: Connection, paths: Sequence[Path]) -> dict[Path, int]:
    found = connection.execute(
        f"select file_name, num_rows from parquet_file_metadata({_list(paths)})"  # noqa: S608
    ).fetchall()
    return {Path(path): rows for path, rows in found}


def _list(paths: Sequence[Path]) -> str:
    return "[" + ", ".join(text(str(path)) for path in paths) + "]"


def _read(paths: Sequence[Path]) -> str:
    return (
        f"read_parquet({_list(paths)}, union_by_name = true, hive_partitioning = false)"
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
