"""Sums of an experiment's arms, out of the store's files, by look.

Of duplicates of a prediction the earliest counts, and of several labels the latest that
became known in time. A unit that was seen in both arms is in none: it was not kept on
its revision, or it named revisions itself.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from model_monitor.counts.cohort import SHADOW
from model_monitor.counts.parquet_files import read as read_files
from model_monitor.experiments.effects import COLUMNS, UnitSums
from model_monitor.experiments.plan import DAY, Kind, Metric, Plan, Rule, Unit
from model_monitor.labels.latest import LATEST_FIRST
from model_monitor.store import Store
from model_monitor.store.database import Connection, database, name, text
from model_monitor.store.names import quoted

MEMORY_MIB = 192
ATTEMPTS = 3
"""The monitor may replace files between the listing and the reading."""
MOST_SHORT_SECONDS = 3600
"""By which the last day of an experiment that has ended may be short: its requests
count from some time after its first day began (slipway/experiments/live.py)."""
_VALUES = {
    Kind.ACCURACY: ("decision = label", "decision is not null and label is not null"),
    Kind.LABEL_MEAN: ("label_number", "label_number is not null"),
    Kind.ABSOLUTE_ERROR: (
        "abs(decision_number - label_number)",
        "decision_number is not null and label_number is not null",
    ),
    Kind.SCORE_MEAN: ("score", "score is not null"),
}
"""A row's value, and whether it has one, in SQL."""


@dataclass(frozen=True)
class Look:
    """One look: all predictions from the start until a moment."""

    until: int
    """Unix seconds."""
    sums: tuple[UnitSums, UnitSums]
    """Sums of the control and the treatment."""


@dataclass(frozen=True)
class Counted:
    """All that the store says about an experiment."""

    looks: tuple[tuple[Look, ...], ...]
    """By metric; may be empty while no cohort is complete."""
    seen: tuple[int, int]
    """Units of each arm until now, for the sample ratio."""
    crossed: int
    """Units that were seen in both arms."""
    without_unit: int
    """Predictions without the header of the assignment: the caller is unknown."""
    predictions: int


def count(store: Store, plan: Plan) -> Counted:
    """Count; duckdb.IOException if files go faster than they can be read."""
    for attempt in range(ATTEMPTS):
        try:
            with database(store.root, MEMORY_MIB) as connection:
                return _Counting(store, plan, connection).run()
        except duckdb.IOException:
            if attempt + 1 == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def looks_of(plan: Plan, metric: Metric) -> list[int]:
    """Ends of the cohorts that are complete: whole days since the start.

    A cohort is complete once every label of it that counts can have become known. Once
    the experiment has ended, its last day may be a little short. An always-valid test
    also looks at what is complete of the last day.
    """
    newest = min(plan.until, plan.now - metric.labels_within_seconds)
    days = max(0, newest - plan.started) // DAY
    found = [plan.started + day * DAY for day in range(1, days + 1)]
    rest = newest - (found[-1] if found else plan.started)
    has_ended = newest == plan.until < plan.now
    least = DAY - MOST_SHORT_SECONDS if has_ended else DAY
    if rest >= (1 if plan.rule is Rule.ALWAYS_VALID else least):
        found.append(newest)
    return found


class _Counting:
    """One store's files of one experiment, in one database.

    Tables: `records` (id, row, time, unit, arm 0 or 1, decision, decision_number,
    score), `crossed` (unit), `covariates` (unit, x) and, of one metric at a time,
    `labels` (id, row, label, label_number) and `days` (unit, arm, day, newest, y, m).
    """

    def __init__(self, store: Store, plan: Plan, connection: Connection) -> None:
        self._store, self._plan, self._connection = store, plan, connection

    def run(self) -> Counted:
        plan = self._plan
        pair = [plan.control, plan.treatment]
        arm = f"case when revision = {text(plan.control)} then 0 else 1 end as arm"
        self._keep("records", self._records(plan.started, plan.until, pair), arm)
        self._connection.execute(
            "create temp table crossed as select unit from records "
            "where unit is not null group by unit having min(arm) < max(arm)"
        )
        self._covariates()
        looks = tuple(tuple(self._looks(metric)) for metric in plan.metrics)
        (rows, without) = self._row("select count(*), count(*) - count(unit)", "")
        (crossed,) = self._connection.execute("select count(*) from crossed").fetchone()
        return Counted(looks, self._seen(), crossed, without, rows)

    def _row(self, select: str, rest: str) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self._connection.execute(
            f"{select} from records {rest}"
        ).fetchone()
        return found

    def _records(self, first: int, last: int, revisions: Sequence[str]) -> list[Path]:
        """Files of the days; they hold other times, too."""
        folder, model = self._store.predictions, quoted(self._plan.model)
        return [
            path
            for day in _days(first, last)
            for revision in revisions
            for path in sorted(
                folder.glob(
                    f"date={day}/hour=*/model={model}/revision={quoted(revision)}/*.parquet"
                )
            )
        ]

    def _keep(self, table: str, files: Sequence[Path], arm: str) -> None:
        """Make the table of the first record of each (id, row) within the time.

        Without copied requests: they have the ids and units of their originals.
        """
        plan = self._plan
        first = plan.started
        last = plan.until
        if table == "before":
            first, last = first - plan.covariate_days * DAY, first
        kinds = "id varchar, row integer, time timestamp, unit varchar, arm integer"
        values = "decision varchar, decision_number double, score double"
        self._connection.execute(f"create temp table {table} ({kinds}, {values})")
        if not files:
            return
        source = read_files(files)
        known = {
            it[0]
            for it in self._connection.execute(f"describe from {source}").fetchall()
        }
        unit = "unit" if "unit" in known else "null"
        if plan.unit is Unit.REQUEST:
            unit = "id"
        own = f"arm is distinct from '{SHADOW}'" if "arm" in known else "true"
        self._connection.execute(
            f"""
insert into {table}
select id, row, time, {unit}, {arm}, decision, decision_number, score from {source}
where code is null and {own}
    and time >= {_moment(first)} and time < {_moment(last)}
qualify row_number() over (
    partition by id, row order by time, parse_filename(filename), file_row_number
) = 1
"""  # noqa: S608, names are our own and texts quoted
        )

    def _labels(self, metric: Metric) -> None:
        """Make the table of the newest label of each row within the metric's time."""
        plan, within = self._plan, metric.labels_within_seconds
        kinds = "id varchar, row integer, label varchar, label_number double"
        self._connection.execute(f"create or replace temp table labels ({kinds})")
        files = [
            path
            for day in _days(plan.started, plan.until)
            for path in sorted(self._store.labels_of(day, plan.model).glob("*.parquet"))
        ]
        if not files or not within:
            return
        self._connection.execute(
            f"""
insert into labels
select l.id, l.row, label, label_number from {read_files(files)} as l
join records as r on l.id = r.id and l.row = r.row
where label_time <= time + to_seconds({within})
qualify row_number() over (partition by l.id, l.row order by {LATEST_FIRST}) = 1
"""  # noqa: S608, names are our own and paths quoted
        )

    def _covariates(self) -> None:
        """Make the table of each unit's mean score by the control before the start."""
        plan = self._plan
        self._connection.execute(
            "create temp table covariates (unit varchar, x double)"
        )
        if not plan.covariate_days:
            return
        first = plan.started - plan.covariate_days * DAY
        self._keep("before", self._records(first, plan.started, [plan.control]), "0")
        self._connection.execute(
            "insert into covariates select unit, avg(score) from before "
            "where unit is not null and score is not null group by unit"
        )

    def _looks(self, metric: Metric) -> Iterator[Look]:
        ends = looks_of(self._plan, metric)
        if not ends:
            return
        self._labels(metric)
        value, has = _value(metric)
        self._connection.execute(
            f"""
create or replace temp table days as
select unit, arm, cast(floor(epoch(time - {_moment(self._plan.started)}) / {DAY})
        as integer) as day,
    max(time) as newest, sum(cast({value} as double)) as y, count(*) as m
from records as r left join labels as l on r.id = l.id and r.row = l.row
where unit is not null and time < {_moment(ends[-1])} and {has}
    and unit not in (select unit from crossed)
group by unit, arm, day
"""  # noqa: S608, names are our own and texts quoted
        )
        for place, end in enumerate(ends):
            yield Look(end, self._sums(place))

    def _sums(self, last_day: int) -> tuple[UnitSums, UnitSums]:
        """Of the days until this one; the last look's day may not be whole."""
        sums = {
            "n": "count(*)",
            "y": "sum(y)",
            "m": "sum(m)",
            "yy": "sum(y * y)",
            "ym": "sum(y * m)",
            "mm": "sum(m * m)",
            "known": "count(x)",
            "x": "sum(x)",
            "xx": "sum(x * x)",
            "xy": "sum(x * y)",
            "xm": "sum(x * m)",
            "known_y": "sum(case when x is not null then y end)",
            "known_m": "sum(case when x is not null then m end)",
        }
        columns = ", ".join(f"{sums[it]} as {name(it)}" for it in COLUMNS)
        rows = self._connection.execute(
            f"""
select arm, {columns}
from (select unit, arm, sum(y) as y, sum(m) as m from days where day <= {last_day}
    group by unit, arm) as units
left join covariates using (unit)
group by arm
"""  # noqa: S608, names are our own
        ).fetchall()
        found = {arm: UnitSums.of_row(row) for arm, *row in rows}
        return found.get(0, UnitSums()), found.get(1, UnitSums())

    def _seen(self) -> tuple[int, int]:
        control, treatment = self._row(
            "select count(distinct case when arm = 0 then unit end), "
            "count(distinct case when arm = 1 then unit end)",
            "where unit not in (select unit from crossed)",
        )
        return control, treatment


def _value(metric: Metric) -> tuple[str, str]:
    if metric.kind is Kind.POSITIVE_RATE:
        return f"decision = {text(metric.positive)}", "decision is not null"
    return _VALUES[metric.kind]


def _moment(seconds: int) -> str:
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC).replace(tzinfo=None)
    return f"timestamp '{moment}'"


def _days(first: int, last: int) -> Iterator[str]:
    """Days in UTC from one moment to another, both included."""
    start, end = (dt.datetime.fromtimestamp(it, dt.UTC).date() for it in (first, last))
    for number in range((end - start).days + 1):
        yield (start + dt.timedelta(days=number)).isoformat()
