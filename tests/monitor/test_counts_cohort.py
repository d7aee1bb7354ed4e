"""Counts of made-up logs against counts made row by row in Python."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from model_monitor.counts import parquet_files, spare_rows
from model_monitor.counts.cohort import Cohort
from model_monitor.counts.cohort_counts import CohortCounts
from model_monitor.counts.counting import CountsError
from model_monitor.counts.counts import Binned, Counts
from model_monitor.counts.duckdb_engine import COLUMNS, DuckDbEngine
from model_monitor.counts.plan import Plan, Task
from model_monitor.counts.reference import Reference, Variable
from model_monitor.store.store import Store

from tests.support import monitor_oracle
from tests.support.monitor_logs import (
    Label,
    Member,
    Row,
    put_labels,
    put_predictions,
    put_protected,
)

DAY = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
AGE = Variable("age", edges=(0.0, 10.0, 20.0, 40.0), counts=(1, 1, 1))
KIND = Variable("kind", categories=("1", "2", "7"), counts=(1, 1, 1))
SCORE = Variable("score", edges=(0.0, 0.25, 0.5, 1.0), counts=(1, 1, 1))
REFERENCE = Reference(rows=3, features=(AGE, KIND), score=SCORE)
PLAN = Plan(Task.BINARY, "1", ("sex",), REFERENCE)


def counted(store: Store, plan: Plan = PLAN) -> Cohort:
    """The counts of the only cohort."""
    found = CohortCounts(store, 200)
    ((key, files),) = found.changed({"m": plan})
    return found.compute(key, files, plan)


def slots(binned: Binned) -> Counter[Any]:
    outside = {
        "missing": binned.missing,
        "unseen": binned.unseen,
        "below": binned.below,
        "above": binned.above,
    }
    return +Counter(dict(enumerate(binned.bins)) | outside)


def assert_equal(found: Counts, expected: dict[str, Any]) -> None:
    for name in ("answered", "refused", "decisions", "labelled", "confusion"):
        assert getattr(found, name) == expected[name], name
    assert found.losses.brier == pytest.approx(expected["brier"], abs=1e-12)
    assert found.losses.log_loss == pytest.approx(expected["log_loss"], abs=1e-9)
    assert found.losses.n == expected["scored"].total()
    for (label, step), n in expected["scored"].items():
        assert found.scored is not None
        assert found.scored[label, step] == n
    assert dict(found.members) == expected["members"]
    binned = found.features | ({} if found.score is None else {"score": found.score})
    for name, wanted in expected["slots"].items():
        assert slots(binned[name]) == wanted, name


def made_up(seed: int, n: int) -> tuple[list[Row], list[Label], list[Member]]:
    chance = random.Random(seed)
    rows, labels, members = [], [], []
    for number in range(n):
        time = DAY + dt.timedelta(seconds=chance.randrange(86400))
        refused = chance.random() < 0.1
        decision = None if refused else chance.choice("01")
        row = Row(
            id=f"request-{number // 2}",
            row=number % 2,
            time=time,
            revision=chance.choice(["r1", "sha256:b/c"]),
            arm=chance.choice(["stable", "canary"]),
            code=chance.choice(["full", "model_failed"]) if refused else None,
            decision=decision,
            score=None
            if refused or chance.random() < 0.1
            else chance.randrange(1, 64) / 64,
            features={
                "age": chance.choice([-5.0, 0.0, 9.5, 10, 40, 40.5, None, math.nan]),
                "kind": chance.choice([1, 2, 7.0, 3, 2.5, None]),
            },
        )
        rows.append(row)
        if chance.random() < 0.5:
            times = [time + dt.timedelta(days=d) for d in range(chance.choice([1, 3]))]
            labels += [
                Label(
                    row.id, chance.choice(["0", "1", None]), when, DAY.date(), row.row
                )
                for when in times
            ]
        if chance.random() < 0.8:
            sex = {"sex": chance.choice(["f", "m"])}
            members.append(Member(row.id, time, sex, row.row, row.revision))
    return rows, labels, members


def no_bins(
    self: DuckDbEngine, columns: Mapping[str, Variable], others: Sequence[str]
) -> dict[str, list[tuple[int, Binned]]]:
    """As an engine does that has no faster way than `queries.slots`."""
    more = [it for it in (*columns, *others) if it not in COLUMNS]
    self.keep("predictions", self._predictions([*COLUMNS, *more]))
    return {}


@pytest.mark.parametrize(
    ("chunk", "by_slots"), [(90, False), (250_000, False), (250_000, True)]
)
def test_counts_are_those_of_counting_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, by_slots: bool
) -> None:
    if by_slots:
        monkeypatch.setattr(DuckDbEngine, "bins", no_bins)
    monkeypatch.setattr(parquet_files, "CHUNK_ROWS", chunk)
    monkeypatch.setattr(spare_rows, "SLICE_ROWS", chunk)
    rows, labels, members = made_up(1, 600)
    # Each label is for an answered row: one of a refused request counts nowhere.
    with Store(tmp_path).opened() as store:
        for number in range(3):
            put_predictions(store, f"p{number}", rows[number::3], "m")
            put_protected(store, f"p{number}", members[number::3], "m")
        put_labels(store, "one", labels[: len(labels) // 2], "m")
        put_labels(store, "two", labels[len(labels) // 2 :], "m")
        cohort = counted(store)
    bins = {"age": AGE.edges, "kind": KIND.categories, "score": SCORE.edges}
    expected = monitor_oracle.counts(rows, labels, members, bins, "1")
    assert set(cohort.segments) == set(expected)
    assert len(expected) == 4
    for segment, counts in cohort.segments.items():
        assert_equal(counts, expected[segment])
    newest = max(it.label_time for it in labels)
    assert dt.datetime.fromisoformat(cohort.newest_label) == newest


@pytest.mark.parametrize("chunk_files", [1, 200])
def test_of_duplicates_the_earliest_counts_and_a_refusal_is_not_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_files: int
) -> None:
    monkeypatch.setattr(parquet_files, "CHUNK_FILES", chunk_files)
    monkeypatch.setattr(spare_rows, "SLICE_ROWS", chunk_files)
    later = DAY + dt.timedelta(hours=3)
    with Store(tmp_path).opened() as store:
        put_predictions(store, "late", [Row("a", later, decision="1")], "m")
        put_predictions(store, "a", [Row("a", DAY, decision="0")] * 2, "m")
        put_predictions(store, "b", [Row("a", DAY, decision="1")], "m")
        refused = Row("a", DAY, code="full", decision=None)
        put_predictions(store, "c", [refused, refused], "m")
        counts = counted(store).of("r1")
    assert counts.decisions == {"0": 1}
    assert counts.refused == {"full": 1}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([("1", 0, 0, "x"), ("0", 1, 0, "x")], "0"),
        ([("0", 1, 0, "x"), ("1", 0, 9, "x")], "0"),
        ([("1", 1, 2, "a"), ("0", 1, 1, "z")], "1"),
        ([("1", 1, 1, "b"), ("0", 1, 1, "a")], "1"),
        ([("1", 0, 0, "x"), (None, 1, 0, "x")], None),
        ([(None, 0, 0, "x"), ("1", 1, 0, "x")], "1"),
    ],
)
def test_the_latest_label_holds_and_null_withdraws(
    tmp_path: Path,
    labels: list[tuple[str | None, int, int, str]],
    expected: str | None,
) -> None:
    found = [
        Label(
            "a",
            label,
            DAY + dt.timedelta(days=time),
            DAY.date(),
            source=source,
            received=DAY + dt.timedelta(days=10 + received),
        )
        for label, time, received, source in labels
    ]
    for order in (found, found[::-1]):
        with Store(tmp_path / str(order is found)).opened() as store:
            put_predictions(store, "p", [Row("a", DAY, decision="1")], "m")
            for number, label in enumerate(order):
                put_labels(store, f"l{number}", [label], "m")
            counts = counted(store).of("r1")
        assert counts.labelled == (expected is not None)
        assert dict(counts.confusion) == (
            {("1", expected): 1} if expected is not None else {}
        )


def test_text_in_features_of_numbers_and_numbers_in_categories(tmp_path: Path) -> None:
    words = Variable("word", categories=("yes", "no", "true", "3"), counts=(1,) * 4)
    plan = Plan(Task.BINARY, reference=Reference(features=(AGE, words)))
    with Store(tmp_path).opened() as store:
        put_predictions(
            store,
            "text",
            [
                Row("1", DAY, features={"age": "12", "word": "yes"}),
                Row("2", DAY, features={"age": "old", "word": "maybe"}),
                Row("3", DAY, features={"age": None, "word": 3.0}),
            ],
            "m",
        )
        put_predictions(
            store,
            "numbers",
            [
                Row("4", DAY, features={"age": 12.0, "word": 3}),
                Row("5", DAY, features={"age": math.inf, "word": True}),
                Row("6", DAY, features={"word": 4}),
            ],
            "m",
        )
        counts = counted(store, plan).of("r1")
    assert slots(counts.features["age"]) == {
        1: 2,
        "unseen": 1,
        "missing": 2,
        "above": 1,
    }
    assert counts.features["age"].sums.n == 2
    assert counts.features["age"].sums.squares == 288
    assert slots(counts.features["word"]) == {0: 1, 2: 1, 3: 2, "unseen": 2}


def test_a_feature_that_is_not_logged_is_not_counted_as_missing(tmp_path: Path) -> None:
    with Store(tmp_path).opened() as store:
        put_predictions(store, "p", [Row("1", DAY, features={"age": 3})], "m")
        counts = counted(store).of("r1")
    assert set(counts.features) == {"age"}


def test_sums_of_a_regression(tmp_path: Path) -> None:
    plan = Plan(Task.REGRESSION, reference=Reference(score=AGE))
    pairs = [(10.0, 12.0), (20.0, 15.0), (50.0, None), (5.0, 5.0)]
    with Store(tmp_path).opened() as store:
        put_predictions(
            store,
            "p",
            [Row(str(k), DAY, decision=str(p)) for k, (p, _) in enumerate(pairs)],
            "m",
        )
        labels = [
            Label(str(k), str(y), DAY, DAY.date(), label_number=y)
            for k, (_, y) in enumerate(pairs)
            if y is not None
        ]
        put_labels(store, "l", labels, "m")
        counts = counted(store, plan).of("r1")
    errors = counts.errors
    assert (errors.n, errors.error, errors.absolute, errors.squared) == (3, 3, 7, 29)
    assert (errors.label, errors.label_squared) == (32, 394)
    assert counts.score is not None
    assert slots(counts.score) == {0: 1, 1: 1, 2: 1, "above": 1}
    assert not counts.decisions


def test_numbers_are_no_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_monitor.counts.counting.MOST_CLASSES", 5)
    rows = [Row(str(k), DAY, decision=f"{k}.5") for k in range(6)]
    with Store(tmp_path).opened() as store:
        put_predictions(store, "p", rows, "m")
        with pytest.raises(CountsError, match=r"6 different decisions, such as '0.5'"):
            counted(store)


def test_stored_counts_are_the_computed_ones(tmp_path: Path) -> None:
    rows, labels, members = made_up(2, 100)
    with Store(tmp_path).opened() as store:
        put_predictions(store, "p", rows, "m")
        put_protected(store, "p", members, "m")
        put_labels(store, "l", labels, "m")
        found = CohortCounts(store, 200)
        ((key, files),) = found.changed({"m": PLAN})
        cohort = found.compute(key, files, PLAN)
        stored = found.load(key)
    assert stored is not None
    assert stored.content() == cohort.content()
