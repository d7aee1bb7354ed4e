"""The simulated days: what is asked on each, and which labels arrive on it.

A census year is replayed as a month: 30 days of requests and a quiet one, so that the
monitor's window of 30 days is just one year. After 2018 comes a fault: an upstream
system sends ages in months. It is repaired after ten days.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from examples.demo_drift.census import SEED, Rows

FIRST_DAY = dt.date(2019, 1, 1)
"""Of the simulated calendar; the census years are over by then."""
YEAR_DAYS = 30
MONTH_DAYS = YEAR_DAYS + 1
"""With the quiet day."""
FAULT_DAYS = 10
REPAIRED_DAYS = 5
LABEL_DAYS = 30
"""How late a label is at most: the label horizon of the monitor."""
EARLIEST_LABEL_DAYS = 29
FAULTY_FEATURE = "AGEP"
MONTHS_OF_A_YEAR = 12
DOUBLED_SHARE = 0.02
"""Of the labels, that come twice."""
CORRECTED_SHARE = 0.01
"""Of the labels, that have a wrong one before them, which may arrive after the right
one: half of the wrong ones come a day late."""
FIRST_HOUR = 9
REQUEST_MINUTES = 12
"""Between two requests of a day."""


@dataclass(frozen=True)
class Batch:
    """Rows that one request asks for."""

    request_id: str
    time: dt.datetime
    """Simulated, UTC."""
    rows: Rows


@dataclass(frozen=True)
class Label:
    """A label on its way: it is sent on the day `arrives`."""

    request_id: str
    row: int
    label: int
    known: dt.datetime
    predicted: dt.datetime
    arrives: dt.date


@dataclass(frozen=True)
class Stage:
    """Consecutive days after which the monitor's figures and alerts are looked at."""

    name: str
    title: str
    first: dt.date
    last: dt.date


@dataclass(frozen=True)
class Timeline:
    """All days in order of time."""

    stages: tuple[Stage, ...]
    batches: Mapping[dt.date, Sequence[Batch]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(len(it.rows) for day in self.batches.values() for it in day)


def day(number: int) -> dt.date:
    """Return the date of a simulated day; the first one has number 1."""
    return FIRST_DAY + dt.timedelta(days=number - 1)


def start_of(year_index: int) -> int:
    """Return the number of the first day of a replayed year, 0 being 2016."""
    return year_index * MONTH_DAYS + 1


FAULT_START = start_of(3)
REPAIR_START = FAULT_START + FAULT_DAYS
LAST_REQUESTS = REPAIR_START + REPAIRED_DAYS - 1
_ENDS = (
    ("served 2016", "2016 is served", start_of(0) + YEAR_DAYS - 1),
    (
        "judged 2016",
        "2017 is served, the labels of 2016 arrive",
        start_of(1) + YEAR_DAYS - 1,
    ),
    (
        "judged 2017",
        "2018 is served, the labels of 2017 arrive",
        start_of(2) + YEAR_DAYS - 1,
    ),
    (
        "fault served",
        "the fault: ages come in months, labels of 2018 arrive",
        REPAIR_START - 1,
    ),
    (
        "judged 2018",
        "repaired, the last labels of 2018 arrive",
        start_of(3) + LABEL_DAYS - 1,
    ),
    ("judged fault", "the labels of the fault arrive", LAST_REQUESTS + LABEL_DAYS),
)


def stages() -> tuple[Stage, ...]:
    """Return the stages, each from the day after the one before it."""
    found: list[Stage] = []
    first = 1
    for name, title, last in _ENDS:
        found.append(Stage(name, title, day(first), day(last)))
        first = last + 1
    return tuple(found)


def timeline(
    years: Sequence[Rows], faulty_column: int, batch_rows: int, run: str
) -> Timeline:
    """Return the days of `years`, of the fault and after its repair.

    `run` begins every request id. The fault and the days after it ask for rows of the
    last year again, as many a day, those of the fault with `faulty_column` in months.
    """
    batches: dict[dt.date, list[Batch]] = {}
    for index, rows in enumerate(years):
        parts = np.array_split(np.arange(len(rows)), YEAR_DAYS)
        for place, part in enumerate(parts):
            date = day(start_of(index) + place)
            batches[date] = _of_day(rows.take(part), date, batch_rows, run)
    last = years[-1]
    parts = np.array_split(np.arange(len(last)), YEAR_DAYS)
    for place in range(FAULT_DAYS + REPAIRED_DAYS):
        date, some = day(FAULT_START + place), last.take(parts[place])
        if place < FAULT_DAYS:
            some = _in_months(some, faulty_column)
        batches[date] = _of_day(some, date, batch_rows, run)
    return Timeline(stages(), batches)


def _in_months(rows: Rows, column: int) -> Rows:
    features = rows.features.copy()
    features[:, column] *= MONTHS_OF_A_YEAR
    return Rows(features, rows.labels)


def _of_day(rows: Rows, date: dt.date, batch_rows: int, run: str) -> list[Batch]:
    start = dt.datetime.combine(date, dt.time(FIRST_HOUR), dt.UTC)
    found = []
    for number, first in enumerate(range(0, len(rows), batch_rows)):
        places = np.arange(first, min(first + batch_rows, len(rows)))
        found.append(
            Batch(
                f"{run}-{date:%m%d}-{number:03}",
                start + dt.timedelta(minutes=REQUEST_MINUTES * number),
                rows.take(places),
            )
        )
    return found


def labels_of(batches: Sequence[Batch], date: dt.date) -> list[Label]:
    """Return the labels of one day's predictions, in no order.

    Each is known 29 or 30 days after its prediction. Some come twice, some have a wrong
    one before them that may come after them: the one known last is the right one.
    """
    chance = np.random.default_rng([SEED, date.toordinal()])
    found: list[Label] = []
    for batch in batches:
        count = len(batch.rows)
        late = chance.integers(EARLIEST_LABEL_DAYS, LABEL_DAYS + 1, count)
        doubled = chance.random(count) < DOUBLED_SHARE
        corrected = chance.random(count) < CORRECTED_SHARE
        wrong_is_late = chance.random(count) < 0.5
        for row, label in enumerate(batch.rows.labels.tolist()):
            known = batch.time + dt.timedelta(days=int(late[row]))
            right = Label(batch.request_id, row, label, known, batch.time, known.date())
            found += [right] * (2 if doubled[row] else 1)
            if corrected[row]:
                arrives = known.date() + dt.timedelta(days=int(wrong_is_late[row]))
                before = known - dt.timedelta(hours=1)
                found.append(
                    Label(batch.request_id, row, 1 - label, before, batch.time, arrives)
                )
    return [found[place] for place in chance.permutation(len(found))]
