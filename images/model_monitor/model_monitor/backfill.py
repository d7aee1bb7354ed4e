"""A past period from files: its predictions become a log, its labels are imported.

The same file and mapping give the same files in the store, so that a repetition, also
after a kill, changes nothing.
"""

from __future__ import annotations

import datetime as dt
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from model_monitor.audit import Chain
from model_monitor.audit.chain import MONITOR
from model_monitor.audit.search import has_entry
from model_monitor.column_mapping import ColumnMapping, Columns
from model_monitor.labels import import_labels
from model_monitor.store import Limits, Part, Store, whole_files
from model_monitor.store.database import Connection, database, name, text
from model_monitor.store.parts import write_parquet

LABELS_ROWS = 250_000
"""Labels that are imported at a time."""
EVERYTHING_DAYS = 36_500


class BackfillError(Exception):
    """The files cannot be imported; `problems` holds one line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Backfill:
    """Counts of the import."""

    predictions: int
    days: int
    labels: int
    refused_labels: int
    """They are in the quarantine, with the reasons."""


def backfill(
    store: Store,
    model: str,
    mapping: ColumnMapping,
    predictions: Path,
    labels: Path | None = None,
    *,
    limits: Limits | None = None,
    actor: str = MONITOR,
    now: dt.datetime | None = None,
    request: str = "",
) -> Backfill:
    """Import files of a past period (parquet or CSV). Raises BackfillError.

    Nothing is written unless all columns are there and every row has an id and a time.
    now: when labels without a time became known. request: one that may be carried out
    again after a kill; the audit chain records it once.
    """
    limits = limits or Limits()
    with _checked(store, mapping, predictions, labels, limits) as (connection, columns):
        connection.execute(
            f"create temp table records as select {columns.record(model)} "  # noqa: S608
            "from source order by time"
        )
        stem = f"backfill-{mapping.digest(predictions)}"
        rows, days = _write(store, connection, mapping, model, stem)
    details: dict[str, Any] = {"model": model, "name": stem, "rows": rows}
    if request:
        details["request"] = request
    if not request or not has_entry(store.chain, "backfilled", request=request):
        Chain(store.chain).append("backfilled", details, actor=actor)
    accepted = refused = 0
    if labels is not None:
        known = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
        accepted, refused = _labels(
            store, mapping, labels, limits=limits, now=known, actor=actor
        )
    return Backfill(rows, days, accepted, refused)


def check(
    store: Store,
    mapping: ColumnMapping,
    predictions: Path,
    labels: Path | None,
    limits: Limits,
) -> None:
    """Raise BackfillError for what `backfill` would; nothing is written."""
    with _checked(store, mapping, predictions, labels, limits):
        pass


@contextmanager
def _checked(
    store: Store,
    mapping: ColumnMapping,
    predictions: Path,
    labels: Path | None,
    limits: Limits,
) -> Iterator[tuple[Any, Columns]]:
    """Yield a database with the predictions as `source`, once all is as it must be."""
    if labels is not None:
        with _source(store, labels, limits, mapping.of_labels()):
            pass
    wanted = mapping.of_predictions()
    opened = _source(store, predictions, limits, wanted, [mapping.id])
    with opened as (connection, types):
        columns = Columns(mapping, types)
        _check_rows(connection, columns, predictions)
        yield connection, columns


def columns_of(store: Store, path: Path, limits: Limits) -> set[str]:
    """Return the columns of a file. Raises BackfillError."""
    with _source(store, path, limits, {}) as (_, types):
        return set(types)


@contextmanager
def _source(
    store: Store,
    path: Path,
    limits: Limits,
    wanted: Mapping[str, str],
    texts: Collection[str] = (),
) -> Iterator[tuple[Any, dict[str, str]]]:
    """Yield a database with the file as relation `source`, and its columns' types.

    `wanted` are columns that it must have, with the option that names each; `texts`
    those that are text whatever they look like.
    """
    with database(store.root, limits.memory_mib, path.absolute()) as connection:
        try:
            if path.suffix == ".csv":
                _open_csv(connection, path, texts)
            else:
                connection.execute(
                    "create temp view source as select * from "  # noqa: S608
                    f"read_parquet({_file(path)}, hive_partitioning = false)"
                )
            described = connection.execute("describe source").fetchall()
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise BackfillError(
                [f"{path}: cannot be read: {reason}; give a parquet or CSV file"]
            ) from None
        types = {column: kind for column, kind, *_ in described}
        problems = [
            f"{path}: {option} {column}: no such column; it has {', '.join(types)}"
            for column, option in wanted.items()
            if column not in types
        ]
        if problems:
            raise BackfillError(problems)
        yield connection, types


def _open_csv(connection: Connection, path: Path, texts: Collection[str]) -> None:
    """Make the relation `source`: columns of nothing but numbers, or true and false.

    DuckDB's own guess would take yes and no for true and false. `texts` stay as they
    are: a number's leading zeros are part of an id.
    """
    connection.execute(
        "create temp table raw as select * "  # noqa: S608
        f"from read_csv({_file(path)}, all_varchar = true, header = true)"
    )
    columns = [it[0] for it in connection.execute("describe raw").fetchall()]
    facts = ", ".join(
        f"count({it}), count(case when is_number({it}) then 1 end), "
        f"count(case when lower({it}) in ('true', 'false') then 1 end)"
        for it in map(name, columns)
    )
    found = connection.execute(f"select {facts} from raw").fetchone()  # noqa: S608
    chosen = []
    for place, column in enumerate(columns):
        values, numbers, truths = found[3 * place : 3 * place + 3]
        kind = "varchar"
        if values and column not in texts:
            kind = {numbers: "double", truths: "boolean"}.get(values, "varchar")
        chosen.append(f"cast({name(column)} as {kind}) as {name(column)}")
    connection.execute(
        f"create temp view source as select {', '.join(chosen)} from raw"  # noqa: S608
    )


def _file(path: Path) -> str:
    return text(str(path.absolute()))


def _check_rows(connection: Connection, columns: Columns, path: Path) -> None:
    """Raise BackfillError unless every row has an id and a time."""
    mapping = columns.mapping
    if not mapping.time and not mapping.date:
        raise BackfillError(
            [f"{path}: no time; give --time with a column, or --date with a day"]
        )
    checked = {"--id": name(mapping.id), "--time": columns.time}
    problems = []
    for option, value in checked.items():
        try:
            (count,) = connection.execute(
                f"select count(*) from source where {value} is null"  # noqa: S608
            ).fetchone()
        except duckdb.ConversionException:
            problems.append(
                f"{path}: --date {mapping.date}: is not a date; write it as 2026-11-29"
            )
            continue
        if count:
            problems.append(
                f"{path}: {option}: {count} rows have none; leave these rows out"
            )
    if problems:
        raise BackfillError(problems)


def _write(
    store: Store, connection: Connection, mapping: ColumnMapping, model: str, stem: str
) -> tuple[int, int]:
    """Write the files of all parts; return rows and days."""
    parts = connection.execute(
        "select strftime(time, '%Y-%m-%d'), strftime(time, '%H'), "
        "min(time), max(time), count(*) from records group by 1, 2 order by 1, 2"
    ).fetchall()
    attributes = ", ".join(name(f"a:{it}") for it in mapping.protected)
    hidden = f" exclude ({attributes})" if attributes else ""
    for date, hour, first, last, _ in parts:
        part = Part(date, hour, model, mapping.revision)
        chosen = f"from records where time between '{first}' and '{last}'"
        path = store.part("predictions", part, stem)
        write_parquet(connection, f"select *{hidden} {chosen}", path)
        if attributes:
            path = store.part("protected", part, stem)
            shown = f'id, "row", time, model, revision, {attributes}'
            write_parquet(connection, f"select {shown} {chosen}", path)
    return sum(it[4] for it in parts), len({it[0] for it in parts})


def _labels(
    store: Store,
    mapping: ColumnMapping,
    path: Path,
    *,
    limits: Limits,
    now: dt.datetime,
    actor: str,
) -> tuple[int, int]:
    """Import the labels; return how many were accepted and refused."""
    stem = f"backfill-{mapping.digest(path)}"
    known = f"{now:%Y-%m-%dT%H:%M:%S.%f}"
    if not mapping.label_time:
        # Their time is that of the import, and so another content each time.
        stem += f"-{now:%Y%m%dT%H%M%S%f}"
    accepted = refused = 0
    scratch = store.root / f"{whole_files.TEMPORARY}{uuid.uuid4().hex}"
    opened = _source(store, path, limits, mapping.of_labels(), [mapping.id])
    with opened as (connection, types):
        columns = Columns(mapping, types)
        connection.execute(
            "create temp table labels as "  # noqa: S608
            f"select {columns.label(known, path.name)} from source"
        )
        (count,) = connection.execute("select count(*) from labels").fetchone()
        try:
            for number, start in enumerate(range(0, count, LABELS_ROWS)):
                file = scratch / f"{stem}-{number}.parquet"
                some = f"select * from labels limit {LABELS_ROWS} offset {start}"  # noqa: S608
                write_parquet(connection, some, file)
                found = import_labels(store, file, actor=actor, limits=limits)
                accepted += found.accepted
                refused += found.refused.total()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return accepted, refused
