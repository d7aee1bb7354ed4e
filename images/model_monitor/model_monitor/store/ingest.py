"""From landed files to parquet: each file once, whole, however often we are killed.

A landed file is removed when all that it holds lies in its places. The names of those
places follow from its own, and their content from its lines alone. So a run that was
killed is repaired by the next one.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from model_monitor.store import kinds, names, quarantine, receipts, whole_files
from model_monitor.store.database import Connection, database
from model_monitor.store.limits import Limits
from model_monitor.store.lines import FileTroubleError, LinesFile
from model_monitor.store.parts import parts_of, write_parts
from model_monitor.store.quarantine import BadLines
from model_monitor.store.records import Records
from model_monitor.store.store import Store


@dataclass
class IngestResult:
    """The result of a run."""

    files: Counter[str] = field(default_factory=Counter)
    """Files by result: ingested, repeated, quarantined (as a whole), failed (left in
    place, because of an error of ours or of the disk), refused (an unknown name, left
    in place)."""
    records: Counter[str] = field(default_factory=Counter)
    """Predictions kept, by model."""
    protected: int = 0
    """Records with protected attributes kept."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Predictions kept of models that are not among the known ones, by model."""
    quarantined: Counter[str] = field(default_factory=Counter)
    """Bad lines and, where the file itself is bad, files, by reason."""
    failures: dict[str, str] = field(default_factory=dict)
    """Reason why a file failed, by its name."""
    seconds: float = 0.0


def ingest(
    store: Store,
    *,
    limits: Limits | None = None,
    known_models: Collection[str] | None = None,
    most_files: int | None = None,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> IngestResult:
    """Read every file of landing/, oldest name first; see the module.

    known_models: models whose predictions are expected; None expects all.
    most_files: files that this run takes on, to bound its time.
    """
    started = time.monotonic()
    result = IngestResult()
    paths = []
    for path in sorted(store.landing.iterdir()):
        if names.is_landed(path.name):
            paths.append(path)
        elif not path.name.startswith(".") and not path.name.endswith(".part"):
            result.files["refused"] += 1
    limits = limits or Limits()
    with _Database(store.root, limits.memory_mib) as opened:
        for path in paths[:most_files]:
            file = _File(store, path, limits, known_models, now())
            try:
                file.take(opened.connection(), result)
            except Exception as error:  # noqa: BLE001, one file must not stop the others
                result.files["failed"] += 1
                result.failures[path.name] = str(error).partition("\n")[0]
                opened.close()
    result.seconds = time.monotonic() - started
    return result


class _Database:
    """A database for one file after the other; opened when one is needed."""

    def __init__(self, root: Path, memory_mib: int) -> None:
        self._root, self._memory_mib = root, memory_mib
        self._stack = ExitStack()
        self._connection: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connection(self) -> Any:
        if self._connection is None:
            opened = database(self._root, self._memory_mib)
            self._connection = self._stack.enter_context(opened)
        return self._connection

    def close(self) -> None:
        self._connection = None
        self._stack.close()


class _File:
    """One landed file on its way."""

    def __init__(
        self,
        store: Store,
        path: Path,
        limits: Limits,
        known_models: Collection[str] | None,
        now: dt.datetime,
    ) -> None:
        self._store, self._path, self._limits = store, path, limits
        self._known, self._now = known_models, now
        self._kind = kinds.of_landed(path.name)
        self._lines = LinesFile(
            path, limits, is_gzip=path.name.endswith(names.COMPRESSED)
        )

    def take(self, connection: Connection, result: IngestResult) -> None:
        """Take the file in; after an exception, the database is of no more use."""
        store, name = self._store, self._path.name
        with BadLines(store.quarantine, self._limits.reported_lines) as bad:
            records = Records(connection, self._kind, self._limits, self._now)
            trouble = self._read(records, bad)
            if records.count and len(parts_of(connection)) > self._limits.parts:
                trouble = FileTroubleError("too_many_parts", keeps_lines=False)
            known = receipts.read(store.received, name)
            if not trouble and known:
                if known.digest == self._lines.digest:
                    records.drop()
                    whole_files.remove(self._path)
                    result.files["repeated"] += 1
                    return
                trouble = FileTroubleError("name_taken", keeps_lines=False)
            kept = 0
            if not trouble or trouble.keeps_lines:
                kept = records.count
                if kept:
                    write_parts(store, connection, self._kind, records, name)
                    self._count(connection, kept, result)
                result.quarantined += bad.tally.counts
            records.drop()
            if trouble:
                self._quarantine(bad, trouble.reason, kept)
                result.files["quarantined"] += 1
                result.quarantined[trouble.reason] += 1
            else:
                self._finish(bad, kept)
                result.files["ingested"] += 1

    def _read(self, records: Records, bad: BadLines) -> FileTroubleError | None:
        """Read all lines; return why, if the file cannot be read to its end."""
        try:
            for chunk in self._lines.chunks():
                bad.add(records.add(chunk))
        except FileTroubleError as error:
            return error
        return None

    def _count(self, connection: Connection, kept: int, result: IngestResult) -> None:
        if self._kind.table == "protected":
            result.protected += kept
            return
        models = connection.execute("select model, count(*) from rows group by model")
        for model, rows in models.fetchall():
            result.records[model] += rows
            if self._known is not None and model not in self._known:
                result.unknown[model] += rows

    def _finish(self, bad: BadLines, kept: int) -> None:
        """Forget the landed file, now that all of it is in its places."""
        name = self._path.name
        if bad.tally.counts:
            compressed = name.removesuffix(names.COMPRESSED) + names.COMPRESSED
            self._report(bad.keep(self._store.quarantine, compressed), bad, kept)
        receipt = receipts.Receipt(
            self._lines.digest,
            self._now.isoformat(),
            accepted=kept,
            refused=bad.tally.counts.total(),
        )
        receipts.write(self._store.received, name, receipt)
        whole_files.remove(self._path)

    def _quarantine(self, bad: BadLines, reason: str, kept: int) -> None:
        """Move the whole landed file."""
        folder = self._store.quarantine
        path = quarantine.free_path(folder, self._path.name, self._path)
        self._report(path, bad, kept, reason)
        # Another file may come under this name and take the place of this one.
        if reason != "name_taken":
            whole_files.remove(self._store.received / self._path.name)
        self._path.replace(path)
        whole_files.sync(folder)
        whole_files.sync(self._store.landing)

    def _report(self, path: Path, bad: BadLines, kept: int, reason: str = "") -> None:
        """Write why."""
        content = {
            "file": self._path.name,
            "reason": reason or "bad_lines",
            "fix": quarantine.FILE_FIXES[reason or "bad_lines"],
            "lines": self._lines.count,
            "kept": kept,
            "bad": bad.tally.report(),
        }
        quarantine.report(self._store, path, content, self._now)
