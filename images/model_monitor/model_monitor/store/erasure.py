"""Erasure: the rows of one subject leave every file of the store.

Each affected file is replaced whole. A run that is killed leaves some files done; the
next one does the rest, because those that name the subject are changed last. With an
`ErasureJournal` its receipt has what the killed one did, too. `give_up` makes a receipt
of what was done so far.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model_monitor.audit.canonical import digest
from model_monitor.audit.chain import Chain
from model_monitor.audit.search import has_entry
from model_monitor.store import names, protected_reads, replacement, whole_files
from model_monitor.store.database import Connection, database, name, text
from model_monitor.store.erased_lines import UNIT, ErasedLines, lines_of
from model_monitor.store.erasure_receipt import (
    Change,
    ErasureJournal,
    ErasureReceipt,
    digest_of,
)
from model_monitor.store.ingest import ingest
from model_monitor.store.limits import Limits
from model_monitor.store.parts import write_parquet
from model_monitor.store.scalars import is_number
from model_monitor.store.store import Store

_FILES = 200
"""Number of files that one query reads."""


def hash_of(field: str, value: str, key: bytes) -> str:
    """Return the receipt's hash of a value, by a key that the store never has."""
    return hmac.new(key, f"{field}={value}".encode(), hashlib.sha256).hexdigest()


def erase(
    store: Store,
    field: str,
    value: str,
    *,
    value_hash: str,
    actor: str,
    limits: Limits | None = None,
    now: dt.datetime | None = None,
    journal: ErasureJournal | None = None,
) -> ErasureReceipt:
    """Erase all rows whose `field` has the value, and all that belongs to these rows.

    field: "id", "unit" (whom an experiment assigned), or the name of a feature or
    protected attribute. A feature that is named unit is found, too. value: its
    canonical text, as the log has it: the hash of a hashed feature or of a unit.
    value_hash: of `hash_of`.
    Predictions, protected attributes and labels of the same id and row go with each
    other. Landed files are read first. Counts of changed cohorts are deleted, so that
    the next cycle computes them anew. After an OSError or duckdb.Error, run it again
    with the same journal, or give it up.
    """
    now = now or dt.datetime.now(dt.UTC)
    if journal and journal.receipt:
        receipt = ErasureReceipt.of_json(journal.receipt)
    else:
        begun = (journal.begun if journal else "") or now.astimezone(dt.UTC).isoformat()
        receipt = ErasureReceipt(begun, field, value_hash)
        if journal:
            receipt.resume(store, journal)
        task = _Task(store, receipt, limits or Limits(), journal)
        try:
            _erase(task, value, actor, now)
        except Exception:
            _settle(store, journal)
            raise
        if journal:
            journal.finished(receipt.to_json())
    _record(store, receipt, actor, now, journal.request if journal else "")
    return receipt


def give_up(
    store: Store,
    field: str,
    *,
    value_hash: str,
    actor: str,
    journal: ErasureJournal,
    now: dt.datetime,
) -> ErasureReceipt:
    """Return the receipt of an erasure that is not run again, with what it did.

    The audit chain says that it is not complete. Raises OSError and ChainError, after
    which the journal still has what the receipt is made of.
    """
    if journal.receipt:
        receipt = ErasureReceipt.of_json(journal.receipt)
    else:
        begun = journal.begun or now.astimezone(dt.UTC).isoformat()
        receipt = ErasureReceipt(begun, field, value_hash, complete=False)
        receipt.resume(store, journal)
        journal.finished(receipt.to_json())
    _record(store, receipt, actor, now, journal.request)
    return receipt


def _settle(store: Store, journal: ErasureJournal | None) -> None:
    """Record what a failed run did, while the files still show it.

    On a full disk they show it later: nobody else can change them either.
    """
    if journal:
        made = ErasureReceipt("", "", "")
        with suppress(OSError):
            made.resume(store, journal)
            journal.settle([asdict(it) for it in made.files])


@dataclass(frozen=True)
class _Task:
    """The work of an erasure."""

    store: Store
    receipt: ErasureReceipt
    limits: Limits
    journal: ErasureJournal | None


def _erase(task: _Task, value: str, actor: str, now: dt.datetime) -> None:
    """Change the files, and put them on the receipt."""
    store, receipt, limits = task.store, task.receipt, task.limits
    replacement.finish(store.root)
    ingest(store, limits=limits, now=lambda: now)
    receipt.unread = sorted(
        path.name for path in store.landing.iterdir() if names.is_landed(path.name)
    )
    with database(store.root, limits.memory_mib) as connection:
        protected_reads.note(
            store,
            "erasure",
            protected_reads.found(
                connection, store, store.protected.rglob("*.parquet")
            ),
            actor=actor,
            now=now,
        )
        erasure = _Erasure(task, connection)
        for source in ("protected", "predictions"):
            erasure.run(source, receipt.field, value)


def _record(
    store: Store, receipt: ErasureReceipt, actor: str, now: dt.datetime, request: str
) -> None:
    """Add the erasure to the audit chain; that of a request once."""
    details: dict[str, Any] = {
        "field": receipt.field,
        "value_hash": receipt.value_hash,
        "rows": receipt.rows,
        "files": len(receipt.files),
        "receipt_sha256": digest(receipt.to_json()),
    }
    if not receipt.complete:
        details["complete"] = False
    if request:
        details["request"] = request
        complete = details.get("complete")
        if has_entry(store.chain, "erased", request=request, complete=complete):
            return
    Chain(store.chain).append("erased", details, actor=actor, now=now)


class _Erasure:
    """One erasure. Table `subject`: id and row of what is to go."""

    def __init__(self, task: _Task, connection: Connection) -> None:
        self._store, self._connection = task.store, connection
        self._limits, self._receipt = task.limits, task.receipt
        self._journal = task.journal

    def run(self, source: str, field: str, value: str) -> None:
        """Erase what a table's rows with the value name, and these rows last."""
        self._connection.execute(
            'create or replace temp table subject (id varchar, "row" integer)'
        )
        tables = ["labels", "protected", "predictions"]
        tables.remove(source)
        tables.append(source)
        files = {table: self._files(table) for table in tables}
        if field == "id":
            for of_table in files.values():
                self._find(of_table, "id = $value", value)
        else:
            self._find_by_name(files[source], source, field, value)
        lines = ErasedLines(field, value, self._limits)
        self._add(lines.named(self._unread()))
        self._erase_lines(lines, but_named=True)
        for table in tables:
            for path in self._affected(files[table]):
                self._rewrite(path)
        self._erase_lines(lines)

    def _unread(self) -> list[Path]:
        """Return files that are in no table: quarantined ones, and left in landing."""
        landed = [self._store.landing / name for name in self._receipt.unread]
        return [*lines_of(self._store.quarantine), *landed]

    def _add(self, keys: Collection[tuple[str, int]]) -> None:
        """Add ids and rows to the subject, and read it as a set."""
        self._connection.execute(
            "insert into subject select unnest($ids), unnest($rows)",
            {"ids": [it for it, _ in keys], "rows": [row for _, row in keys]},
        )
        self._connection.execute(
            "create or replace temp table subject as select distinct * from subject"
        )

    def _erase_lines(self, lines: ErasedLines, *, but_named: bool = False) -> None:
        """Erase quarantined lines; but_named: all but those that name the value."""
        keys = self._connection.execute("select * from subject").fetchall()
        lines.of_subject(keys)
        changes = lines.erase(
            self._store.quarantine, self._announce, but_named=but_named
        )
        for path, (before, rows) in changes:
            self._note(path, rows, before)
        self._receipt.unsearched = sorted(
            {*self._receipt.unsearched, *lines.unsearched}
        )

    def _files(self, table: str) -> list[Path]:
        """Return the table's files; what begins with a dot is the store's own."""
        folder = self._store.root / table
        return sorted(
            path
            for path in folder.rglob("*.parquet")
            if not any(it.startswith(".") for it in path.relative_to(folder).parts)
        )

    def _find_by_name(
        self, files: Sequence[Path], table: str, field: str, value: str
    ) -> None:
        """Find rows by a feature, attribute or `unit`, in those files that have it."""
        columns = self._columns(files)
        if table == "predictions" and field == UNIT:
            having = [path for path in files if UNIT in columns[str(path)]]
            self._find(having, "unit = $value", value)
        prefixes = ("a:",) if table == "protected" else ("t:", "x:")
        for prefix in prefixes:
            column = prefix + field
            having = [path for path in files if column in columns[str(path)]]
            condition = (
                f"{name(column)} = scalar_number($value)"
                if prefix == "x:"
                else f"{name(column)} = $value"
            )
            if prefix != "x:" or value in ("true", "false") or is_number(value):
                self._find(having, condition, value)

    def _columns(self, files: Sequence[Path]) -> dict[str, set[str]]:
        """Return the columns of files by their paths."""
        found: dict[str, set[str]] = {str(path): set() for path in files}
        for some in _portions(files):
            rows = self._connection.execute(
                f"select file_name, name from parquet_schema({_listed(some)})"  # noqa: S608
            ).fetchall()
            for path, column in rows:
                found[path].add(column)
        return found

    def _find(self, files: Sequence[Path], condition: str, value: str) -> None:
        for some in _portions(files):
            self._connection.execute(
                'insert into subject select id, "row" '  # noqa: S608
                f"from {_read(some)} where {condition}",
                {"value": value},
            )

    def _affected(self, files: Sequence[Path]) -> list[Path]:
        found = []
        for some in _portions(files):
            rows = self._connection.execute(
                f"select distinct filename from {_read(some)} "  # noqa: S608
                'semi join subject using (id, "row") order by all'
            ).fetchall()
            found += [Path(path) for (path,) in rows]
        return found

    def _rewrite(self, path: Path) -> None:
        before = digest_of(path)
        read = _read([path])
        ((left, gone),) = self._connection.execute(
            f"select count(*) filter (s.id is null), count(s.id) from {read} as f "  # noqa: S608
            'left join subject as s on f.id = s.id and f."row" = s."row"'
        ).fetchall()
        self._announce(path, gone, before)
        # The counts first: a kill between the two leaves none that is out of date.
        self._forget_counts(path)
        if left:
            write_parquet(
                self._connection,
                f"select * exclude (filename, file_row_number) from {read} as f "  # noqa: S608
                'anti join subject as s on f.id = s.id and f."row" = s."row" '
                "order by file_row_number",
                path,
            )
        else:
            whole_files.remove(path)
        self._note(path, gone, before)

    def _forget_counts(self, path: Path) -> None:
        """Delete the counts of a file's cohort."""
        keys = dict(
            part.split("=", 1) for part in path.parent.parts if part.count("=") == 1
        )
        if "date" in keys and "model" in keys:
            folder = self._store.counts / f"model={keys['model']}"
            whole_files.remove(folder / f"date={keys['date']}.json")

    def _announce(self, path: Path, rows: int, before: str) -> None:
        """Note a change in the journal, before it is made."""
        if self._journal:
            relative = path.relative_to(self._store.root).as_posix()
            self._journal.changing(Change(relative, rows, before))

    def _note(self, path: Path, rows: int, before: str) -> None:
        self._receipt.add(self._store, path, rows, before)


def _portions(files: Sequence[Path]) -> Iterator[Sequence[Path]]:
    return (files[start : start + _FILES] for start in range(0, len(files), _FILES))


def _listed(files: Sequence[Path]) -> str:
    return "[" + ", ".join(text(str(path)) for path in files) + "]"


def _read(files: Sequence[Path]) -> str:
    return (
        f"read_parquet({_listed(files)}, union_by_name = true, filename = true, "
        "file_row_number = true, hive_partitioning = false)"
    )
