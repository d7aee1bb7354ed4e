"""Copied requests have the ids of their originals, and count for nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from model_monitor.store.store import Store

from tests.monitor.test_counts_cohort import DAY, counted
from tests.support.monitor_logs import Label, Row, put_labels, put_predictions

FEATURES = {"age": 5.0, "kind": 1}


def test_a_copy_takes_no_originals_place(tmp_path: Path) -> None:
    """It may even be answered before."""
    store = Store(tmp_path)
    original = Row("a", DAY.replace(minute=5), 0, "r1", decision="1", score=0.75)
    original = replace(original, arm="stable", features=FEATURES)
    copied = replace(
        original, time=DAY, revision="r2", arm="shadow", decision="0", score=0.25
    )
    put_predictions(store, "a", [original], "m")
    put_predictions(store, "b", [copied, replace(copied, id="b")], "m")
    put_labels(store, "labels", [Label("a", "1", DAY, DAY.date(), 0)], "m")
    cohort = counted(store)
    assert cohort.revisions == ["r1"]
    first = cohort.of("r1")
    assert (first.answered, first.labelled) == (1, 1)
    assert first.confusion == {("1", "1"): 1}
    assert cohort.of("r2").answered == 0
    # They stay to be read by their arm.
    assert cohort.segments["r2", "shadow"].answered == 2
    assert cohort.segments["r2", "shadow"].confusion == {("0", "1"): 1}


def test_copies_twice_count_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    copied = Row("a", DAY, 0, "r2", decision="0", score=0.25)
    copied = replace(copied, arm="shadow", features=FEATURES)
    put_predictions(store, "a", [copied], "m")
    put_predictions(store, "b", [copied], "m")
    assert counted(store).segments["r2", "shadow"].answered == 1
