"""Counts of many days of one model by Spark, with the query texts of DuckDB.

The texts count relations of one cohort. Here the relations hold several days at once:
a segment is a day, a revision and an arm, and an id has its day before it, so that
nothing of one day is joined to another. The relations are otherwise those of
duckdb_engine.py: of duplicates of a prediction the earliest counts, of labels the
latest holds.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import sqlglot

from model_monitor.counts.cohort import SHADOW, Segment
from model_monitor.counts.counting import Engine, count
from model_monitor.counts.counts import Counts
from model_monitor.counts.duckdb_engine import COLUMNS
from model_monitor.counts.listing import CohortFiles
from model_monitor.counts.plan import Plan
from model_monitor.labels.latest import LATEST
from model_monitor.store.database import name

LABELS = ("label", "label_number", "label_time", "source", "received")
"""Columns of label files beside the key that a query reads."""
_ID = "file_date || '/' || id as id"


class SparkEngine(Engine, Protocol):
    """Spark as an engine of the queries, which it is given in DuckDB's dialect."""

    def open(self, name: str, files: Iterable[Path]) -> Sequence[str]:
        """Make a relation of parquet files; return its columns.

        It also has `file_name`, `file_row`, and `file_date`, the day in its path.
        """


@dataclass
class Day:
    """The counts of one day's cohort."""

    segments: dict[Segment, Counts] = field(default_factory=dict)
    newest_label: str = ""
    """Newest time of a label, RFC 3339; empty without labels."""


def translated(sql: str) -> str:
    """Return a text of DuckDB's dialect in Spark's."""
    (found,) = sqlglot.transpile(sql, read="duckdb", write="spark")
    return found


def count_days(
    engine: SparkEngine, plan: Plan, cohorts: Mapping[dt.date, CohortFiles]
) -> dict[dt.date, Day]:
    """Return the counts of each day's files; all are of one model."""
    found: dict[dt.date, Day] = defaultdict(Day)
    for date, newest in _open_labels(engine, _all(cohorts, "labels")):
        found[date].newest_label = newest
    protected = _open_protected(engine, plan, _all(cohorts, "protected"))
    predictions = _all(cohorts, "predictions")
    if predictions:
        columns = engine.open("prediction_files", predictions)
        segments = _open_predictions(engine, plan, columns)
        counted = count(engine, plan, columns, protected=protected)
        for number, counts in counted.items():
            date, revision, arm = segments[number]
            found[date].segments[revision, arm] = counts
    return {date: found[date] for date in sorted(cohorts)}


def _all(cohorts: Mapping[dt.date, CohortFiles], table: str) -> list[Path]:
    return [path for files in cohorts.values() for path in getattr(files, table)]


def _open_predictions(
    engine: SparkEngine, plan: Plan, columns: Sequence[str]
) -> list[tuple[dt.date, str, str]]:
    """Make the relation `predictions`; return day, revision and arm by segment."""
    numbered = (
        "select file_date, revision, arm, "
        "row_number() over (order by file_date, revision, arm) - 1 as segment "
        "from (select distinct file_date, revision, arm from prediction_files) as d"
    )
    engine.keep("segments", numbered)
    found = engine.rows(
        "select file_date, revision, arm from segments order by segment"
    )
    features = [f"{kind}:{it.name}" for it in plan.reference.features for kind in "xt"]
    chosen = [_ID.replace("file_date", "f.file_date").replace(" id ", " f.id ")]
    chosen += [
        f"cast({f'f.{name(it)}' if it in columns else 'null'} as {kind}) as {name(it)}"
        for it, kind in COLUMNS.items()
        if it != "id"
    ]
    chosen += [f"f.{name(it)}" for it in features if it in columns]
    # A copied request has the id of its original, and is a prediction of its own.
    key = f"""file_date, id, "row", code is null, arm = '{SHADOW}'"""
    first = _first_of("prediction_files", key)
    engine.keep(
        "predictions",
        f"select s.segment, {', '.join(chosen)} from {first} join segments as s "  # noqa: S608
        "on f.file_date = s.file_date and f.revision = s.revision and f.arm = s.arm",
    )
    return [(dt.date.fromisoformat(it), revision, arm) for it, revision, arm in found]


def _open_labels(
    engine: SparkEngine, files: Sequence[Path]
) -> list[tuple[dt.date, str]]:
    """Make the relation `labels`; return the newest time of a label by day."""
    if not files:
        columns = "'' as id, 0 as \"row\", '' as label, 0.0 as label_number"
        engine.keep("labels", f"select * from (select {columns}) as l where 1 = 0")  # noqa: S608
        return []
    engine.open("label_lines", files)
    columns = ", ".join([_ID, '"row"', "prediction_time", *LABELS])
    engine.keep("label_files", f"select {columns} from label_lines")  # noqa: S608
    latest = LATEST.format(labels="label_files")
    engine.keep(
        "labels",
        f'select id, "row", label, label_number from ({latest}) as l '  # noqa: S608
        "where label is not null",
    )
    newest: Sequence[Sequence[Any]] = engine.rows(
        "select file_date, max(label_time) from label_lines group by file_date"
    )
    return [
        (dt.date.fromisoformat(date), f"{time.isoformat(timespec='microseconds')}Z")
        for date, time in newest
        if time is not None
    ]


def _open_protected(engine: SparkEngine, plan: Plan, files: Sequence[Path]) -> bool:
    """Make the relation `protected`; return whether there is any attribute."""
    if not files or not plan.attributes:
        return False
    here = engine.open("protected_files", files)
    wanted = {it: name(f"a:{it}") for it in plan.attributes}
    if not any(f"a:{it}" in here for it in wanted):
        return False
    columns = ", ".join(
        column if f"a:{it}" in here else f"cast(null as varchar) as {column}"
        for it, column in wanted.items()
    )
    first = _first_of("protected_files", 'file_date, id, "row"')
    engine.keep("protected", f'select {_ID}, "row", {columns} from {first}')  # noqa: S608
    return True


def _first_of(relation: str, key: str) -> str:
    return f"""(
    select * from (
        select *, row_number() over (
            partition by {key} order by "time", file_name, file_row
        ) as turn
        from {relation}
    ) as ranked
    where turn = 1
) as f"""  # noqa: S608, texts of our own
