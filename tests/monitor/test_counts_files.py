"""Which cohorts are counted anew: those whose files or plan are other ones."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_monitor.counts import listing
from model_monitor.counts.cohort import CohortKey
from model_monitor.counts.cohort_counts import CohortCounts
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

PLAN = Plan(Task.BINARY)
FIRST = dt.datetime(2026, 11, 1, 8, tzinfo=dt.UTC)
SECOND = dt.datetime(2026, 11, 2, 9, tzinfo=dt.UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path).opened() as opened:
        put_predictions(opened, "a", [Row("1", FIRST), Row("2", SECOND)], "m")
        yield opened


def compute(counts: CohortCounts, plan: Plan = PLAN) -> list[CohortKey]:
    """Count what has changed; the cohorts that had."""
    found = counts.changed({"m": plan})
    for key, files in found:
        counts.compute(key, files, plan)
    return [key for key, _ in found]


def key(time: dt.datetime) -> CohortKey:
    return CohortKey(time.date(), "m")


def test_what_is_counted_is_not_counted_again(store: Store) -> None:
    assert compute(CohortCounts(store, 100)) == [key(FIRST), key(SECOND)]
    # Neither by the same process nor by one that starts anew.
    counts = CohortCounts(store, 100)
    assert compute(counts) == []
    assert compute(counts) == []


def test_a_late_label_changes_the_day_of_its_prediction(store: Store) -> None:
    counts = CohortCounts(store, 100)
    compute(counts)
    put_labels(store, "l", [Label("1", "1", SECOND, FIRST.date())], "m")
    assert compute(counts) == [key(FIRST)]
    cohort = counts.load(key(FIRST))
    assert cohort is not None
    assert cohort.of("r1").labelled == 1


@pytest.mark.parametrize("settled_seconds", [2.0, -1e9])
def test_each_kind_of_file_that_comes_or_goes_or_grows_is_noticed(
    store: Store, monkeypatch: pytest.MonkeyPatch, settled_seconds: float
) -> None:
    # With -1e9 every folder is taken as settled: its time of change alone must tell.
    monkeypatch.setattr(listing, "SETTLED_SECONDS", settled_seconds)
    counts = CohortCounts(store, 100)
    compute(counts)
    put_predictions(store, "b", [Row("3", FIRST)], "m")
    _settle(store)
    assert compute(counts) == [key(FIRST)]
    put_protected(store, "b", [Member("3", SECOND, {"sex": "f"})], "m")
    _settle(store)
    assert compute(counts) == [key(SECOND)]
    found = counts.load(key(FIRST))
    assert found is not None
    assert found.of("r1").answered == 2
    next(store.predictions.rglob("b.parquet")).unlink()
    _settle(store)
    assert compute(counts) == [key(FIRST)]


def _settle(store: Store) -> None:
    """Put every folder's time of change beyond the clock's resolution."""
    for number, folder in enumerate(sorted(store.root.rglob("*"))):
        if folder.is_dir():
            changed = folder.stat().st_mtime_ns + number
            os.utime(folder, ns=(changed, changed))


def test_other_bins_attributes_or_classes_count_anew(store: Store) -> None:
    counts = CohortCounts(store, 100)
    compute(counts)
    age = Variable("age", edges=(0.0, 1.0), counts=(1,))
    for plan in (
        Plan(Task.BINARY, reference=Reference(features=(age,))),
        Plan(Task.BINARY, "yes"),
        Plan(Task.BINARY, attributes=("sex",)),
        Plan(Task.MULTICLASS),
    ):
        assert len(compute(counts, plan)) == 2
        assert compute(counts, plan) == []
    # What the reference counted is not part of the counts.
    more = Variable("age", edges=(0.0, 1.0), counts=(7,))
    plans = [
        Plan(Task.BINARY, reference=Reference(features=(it,))) for it in (age, more)
    ]
    assert len(compute(counts, plans[0])) == 2
    assert compute(counts, plans[1]) == []


def test_frozen_cohorts_keep_their_counts(store: Store) -> None:
    counts = CohortCounts(store, 100)
    compute(counts)
    for path in store.predictions.rglob("*.parquet"):
        path.unlink()
    old = key(FIRST)
    assert [it for it, _ in counts.changed({"m": PLAN}, lambda it: it == old)] == [
        key(SECOND)
    ]
    # Frozen or not: a cohort without counts is counted.
    counts.remove(old)
    put_predictions(store, "a", [Row("1", FIRST)], "m")
    assert old in [it for it, _ in counts.changed({"m": PLAN}, lambda _: True)]


def test_after_the_last_file_is_erased_the_counts_are_empty(store: Store) -> None:
    counts = CohortCounts(store, 100)
    compute(counts)
    for path in store.predictions.glob("date=2026-11-01/**/*.parquet"):
        path.unlink()
    assert compute(counts) == [key(FIRST)]
    cohort = counts.load(key(FIRST))
    assert cohort is not None
    assert not cohort.segments
    assert compute(counts) == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 0}\n', b"[1]\n"])
def test_counts_that_cannot_be_read_are_counted_anew(
    store: Store, content: bytes
) -> None:
    counts = CohortCounts(store, 100)
    compute(counts)
    store.counts_of("2026-11-01", "m").write_bytes(content)
    assert counts.load(key(FIRST)) is None
    assert compute(counts) == [key(FIRST)]


def test_models_without_settings_are_left_alone(store: Store) -> None:
    put_predictions(store, "x", [Row("1", FIRST)], "unknown")
    assert compute(CohortCounts(store, 100)) == [key(FIRST), key(SECOND)]


def test_the_first_line_is_all_but_the_counts(store: Store) -> None:
    compute(CohortCounts(store, 100))
    path = store.counts_of("2026-11-01", "m")
    whole = json.loads(path.read_bytes())
    first = json.loads(path.read_text().splitlines()[0].removesuffix(",") + "}")
    assert first == {name: it for name, it in whole.items() if name != "segments"}
    assert first["newest"] == "2026-11-01T08:00:00.000000Z"
    (name,) = first["files"]
    assert first["files"][name] == (store.root / name).stat().st_size
