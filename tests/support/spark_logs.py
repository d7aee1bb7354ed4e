"""A small prediction log of several days, and the counts that DuckDB makes of it."""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_monitor.counts import codec
from model_monitor.counts.cohort import Cohort
from model_monitor.counts.cohort_counts import CohortCounts
from model_monitor.counts.plan import Plan, Task
from model_monitor.counts.reference import read_reference
from model_monitor.store import Store

from tests.support.monitor_logs import (
    Label,
    Member,
    Row,
    put_labels,
    put_predictions,
    put_protected,
)

MODEL, ATTRIBUTE = "income", "sex"
FIRST = dt.date(2026, 11, 1)
SUMS = 1e-12
"""Relative tolerance of sums, which the engines add up in another order."""
REFERENCE: dict[str, Any] = {
    "revision": "r1",
    "rows": 100,
    "features": {
        "age": {
            "histogram": {"edges": [0.0, 0.25, 0.5, 1.0], "counts": [20, 30, 50]},
            "mean": 0.5,
            "deviation": 0.2,
        },
        "kind": {"categories": {"a": 60, "b": 40}},
    },
}


def write(root: Path, *, days: int, rows: int) -> Path:
    """Write the log with so many predictions a day, and return its reference.json.

    Of each day some predictions come twice, some labels are corrected, and ids come
    again the next day.
    """
    chance = random.Random(17)
    with Store(root).opened() as store:
        for number in range(days):
            day = FIRST + dt.timedelta(days=number)
            start = dt.datetime.combine(day, dt.time(9), dt.UTC)
            made = [_row(chance, start, index) for index in range(rows)]
            put_predictions(store, f"p{number}", made, MODEL)
            put_predictions(store, f"q{number}", made[::7], MODEL)
            groups = [_member(chance, row) for row in made]
            put_protected(store, f"p{number}", groups, MODEL)
            put_labels(store, f"l{number}", _labels(chance, made, day), MODEL)
    reference = root / "reference.json"
    reference.write_text(json.dumps(REFERENCE))
    return reference


def _row(chance: random.Random, start: dt.datetime, index: int) -> Row:
    refused, score = chance.random() < 0.05, chance.random()
    return Row(
        id=f"id-{index}",
        time=start + dt.timedelta(seconds=index % 7000),
        revision=chance.choice(["1.10", "sha256:b/c"]),
        arm=chance.choice(["stable", "canary"]),
        code="full" if refused else None,
        decision=None if refused else str(int(score > 0.5)),
        score=None if refused else score,
        features={
            "age": chance.choice([chance.random(), -1.0, None]),
            "kind": chance.choice(["a", "b", "c", None]),
        },
    )


def _member(chance: random.Random, row: Row) -> Member:
    group = {ATTRIBUTE: chance.choice(["f", "m"])}
    return Member(row.id, row.time, group, row.row, row.revision)


def _labels(chance: random.Random, rows: list[Row], day: dt.date) -> list[Label]:
    return [
        Label(
            row.id,
            chance.choice(["0", "1"]),
            row.time + dt.timedelta(days=late),
            day,
            row.row,
        )
        for row in rows
        for late in range(chance.randrange(3))
    ]


def counted(root: Path, reference: Path) -> dict[dt.date, Cohort]:
    """The counts by DuckDB, by day; they are written into the store too."""
    plan = _plan(reference)
    counts = CohortCounts(Store(root), 256)
    changed = counts.changed({MODEL: plan})
    return {key.date: counts.compute(key, files, plan) for key, files in changed}


def uncounted(root: Path, reference: Path) -> list[dt.date]:
    """Days whose counts the monitor would make anew."""
    changed = CohortCounts(Store(root), 256).changed({MODEL: _plan(reference)})
    return [key.date for key, _ in changed]


def _plan(reference: Path) -> Plan:
    known = read_reference(reference)
    return Plan(Task.BINARY, attributes=(ATTRIBUTE,), reference=known)


def arguments(store: str, reference: str, out: str) -> list[str]:
    """Of the program that counts by Spark."""
    return [
        *("--store", store, "--reference", reference, "--out", out),
        *("--model", MODEL, "--protected", ATTRIBUTE),
    ]


def assert_same(text: str, ours: Cohort) -> None:
    """A file of counts by Spark says what DuckDB found; sums to SUMS."""
    theirs = Cohort.of_json(json.loads(text))
    assert (theirs.key, theirs.inputs, theirs.bins) == (
        ours.key,
        ours.inputs,
        ours.bins,
    )
    assert theirs.newest_label == ours.newest_label
    assert _plain(theirs) == _Near(_plain(ours))


def _plain(cohort: Cohort) -> dict[str, Any]:
    return {
        f"{revision} {arm}": codec.to_json(counts)
        for (revision, arm), counts in sorted(cohort.segments.items())
    }


class _Near:
    """Equal to values whose whole numbers and texts are the same, and sums nearly."""

    def __init__(self, value: Any) -> None:
        self.value = value

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        value = self.value
        if isinstance(value, dict):
            return (
                isinstance(other, dict)
                and list(value) == list(other)
                and all(other[key] == _Near(it) for key, it in value.items())
            )
        if isinstance(value, list):
            return (
                isinstance(other, list)
                and len(value) == len(other)
                and all(b == _Near(a) for a, b in zip(value, other, strict=True))
            )
        if isinstance(value, float) and not np.isnan(value):
            return bool(other == pytest.approx(value, rel=SUMS, abs=1e-300))
        return type(value) is type(other) and repr(value) == repr(other)

    def __repr__(self) -> str:
        return repr(self.value)
