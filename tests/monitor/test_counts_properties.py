"""Counts add up, whatever lies in which file, in which order and how often."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_monitor.counts import codec
from model_monitor.counts.cohort_counts import CohortCounts
from model_monitor.counts.counts import Counts
from model_monitor.counts.plan import Plan, Task
from model_monitor.counts.reference import Reference, Variable
from model_monitor.store.store import Store

from tests.support.monitor_logs import (
    Label,
    Member,
    Row,
    put_labels,
    put_predictions,
    put_protected,
)

DAY = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
PLAN = Plan(
    Task.BINARY,
    "1",
    ("sex",),
    Reference(
        features=(
            Variable("age", edges=(0.0, 10.0, 20.0), counts=(1, 1)),
            Variable("kind", categories=("a", "3"), counts=(1, 1)),
        )
    ),
)
few = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# Multiples of 1/64, so that sums are exact in any order.
parts = st.integers(0, 64).map(lambda it: it / 64)
records = st.builds(
    Row,
    id=st.just(""),
    time=st.integers(0, 86399).map(lambda it: DAY + dt.timedelta(seconds=it)),
    revision=st.sampled_from(["r1", "r2"]),
    arm=st.sampled_from(["stable", "canary"]),
    code=st.sampled_from([None, None, None, "full"]),
    decision=st.sampled_from(["0", "1"]),
    score=st.none() | parts,
    latency_seconds=parts,
    features=st.fixed_dictionaries(
        {"age": st.none() | st.integers(-5, 25), "kind": st.sampled_from(["a", 3, 4])}
    ),
)
labels = st.none() | st.sampled_from(["0", "1"])
members = st.none() | st.sampled_from(["f", "m"])
Segments = dict[tuple[str, str], Counts]
Record = tuple[Row, str | None, str | None]
logs = st.lists(st.tuples(records, labels, members), max_size=30)


def named(log: Sequence[Record], start: int = 0) -> list[Record]:
    """The records with ids of their own."""
    return [
        (Row(**vars(row) | {"id": f"id-{number}"}), label, member)
        for number, (row, label, member) in enumerate(log, start)
    ]


def counted(files: Sequence[Sequence[Record]]) -> Segments:
    """The counts of a cohort of which each list is a file of each kind."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)).opened() as store:
        for number, log in enumerate(files):
            put_predictions(store, f"p{number}", [row for row, _, _ in log], "m")
            labelled = [
                Label(row.id, label, DAY, DAY.date())
                for row, label, _ in log
                if label is not None and row.code is None
            ]
            put_labels(store, f"l{number}", labelled, "m")
            audited = [
                Member(row.id, row.time, {"sex": member}, revision=row.revision)
                for row, _, member in log
                if member is not None
            ]
            put_protected(store, f"a{number}", audited, "m")
        counts = CohortCounts(store, 100)
        changed = counts.changed({"m": PLAN})
        assert len(changed) == any(files)
        for key, found in changed:
            return dict(counts.compute(key, found, PLAN).segments)
    return {}


def values(segments: Segments) -> dict[tuple[str, str], Any]:
    """What is to be equal: all but the sum of logarithms, which is not exact."""
    found = {segment: codec.to_json(it) for segment, it in segments.items()}
    for counts in found.values():
        counts["losses"].pop("log_loss")
    return found


@few
@given(logs, logs)
def test_counts_of_a_union_are_the_sum_of_the_counts(
    left: list[Record], right: list[Record]
) -> None:
    one, other = named(left), named(right, len(left))
    first, second = counted([one]), counted([other])
    both = {
        segment: first[segment] + second[segment]
        for segment in first.keys() & second.keys()
    }
    assert values(counted([one, other])) == values(first | second | both)


@few
@given(logs, st.randoms(use_true_random=False), st.integers(1, 4))
def test_counts_do_not_depend_on_files_order_or_duplicates(
    log: list[Record], chance: Any, number: int
) -> None:
    records = named(log)
    again = [record for record in records if chance.random() < 0.3]
    shuffled = chance.sample(records + again, len(records + again))
    files = [shuffled[start::number] for start in range(number)]
    assert values(counted(files)) == values(counted([records]))


@few
@given(logs)
def test_stored_counts_come_back(log: list[Record]) -> None:
    for counts in counted([named(log)]).values():
        stored = codec.to_json(counts)
        assert codec.to_json(codec.of_json(json.loads(json.dumps(stored)))) == stored
