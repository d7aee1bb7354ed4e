"""Requests where releases are frequent: labels come after a revision was replaced."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_monitor.config import Config, Model, Quality
from model_monitor.counts.counts import Counts
from model_monitor.figures.results import Results
from model_monitor.metrics import CycleState, ResultsCollector
from model_monitor.retraining import stored
from model_monitor.retraining.requests import RetrainingRequests
from model_monitor.retraining.stored import Stored
from model_monitor.store import Store

from tests.support.monitor_cohorts import cohort, confused, days, results

FIRST = dt.date(2026, 9, 1)
DAY = dt.timedelta(days=1)
MODEL = Model("m", quality=(Quality("accuracy", 0.9),))
"""Labels are due after 30 days, revisions are retired after 7: the defaults."""
GOOD, BAD = confused(450, 50, 50, 450), confused(300, 200, 200, 300)
UNLABELLED = Counts(answered=1000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def released(*ends: int, now: int, labelled: int, counts: Counts = BAD) -> Results:
    """Results of `now` days; the revision r0 answers up to the first end, and so on."""
    cohorts = []
    for number, day in enumerate(days(FIRST, now)):
        revision = f"r{sum(number >= end for end in ends)}"
        own = counts if number < labelled else UNLABELLED
        cohorts.append(cohort(day, own, revision=revision))
    moment = dt.datetime.combine(FIRST, dt.time(), dt.UTC) + now * DAY
    return results(MODEL, cohorts, moment)


def requested(store: Store, found: Results) -> list[Stored]:
    config = Config(store.root, (MODEL,), clock="event")
    RetrainingRequests(config, store).judged(found)
    return list(stored.read_all(store))


def weekly(now: int) -> Results:
    return released(*range(7, now, 7), now=now, labelled=now - 30)


def below(found: Results) -> set[str]:
    """Revisions of which a metric is below its baseline, as /metrics shows it."""
    config = Config(Path(), (MODEL,))
    return {
        sample.labels["revision"]
        for family in ResultsCollector(
            config, lambda: [found.to_json()], CycleState()
        ).collect()
        for sample in family.samples
        if sample.name == "model_quality_below_baseline" and sample.value
    }


def test_a_model_released_weekly_is_judged(store: Store) -> None:
    found = weekly(70)
    retired = {it.revision for it in found.revisions if it.is_retired}
    assert below(found)
    assert below(found) <= retired
    # The newest of them stands for all: one request is enough for a cause.
    (request,) = requested(store, found)
    assert request.content["revision"] == max(below(found))
    assert request.causes[0] == "quality accuracy"


def test_a_model_released_daily_is_judged(store: Store) -> None:
    """More revisions have answered since than are shown."""
    found = released(*range(1, 70), now=70, labelled=40)
    assert {"r39", "r69"} <= {it.revision for it in found.revisions}
    windows = {it.revision: it.windows["1d"].labelled for it in found.revisions}
    assert windows["r39"] == 1000


def test_a_replaced_revision_is_requested_for_once(store: Store) -> None:
    """Until one that began after the request answers: its labels come in a month."""
    assert [it.is_open for it in requested(store, weekly(70))] == [True]
    assert [it.is_open for it in requested(store, weekly(71))] == [True]
    found = requested(store, weekly(72))
    # r10 began on the day of the request, r11 after it.
    assert [it.is_open for it in found] == [True]
    found = requested(store, weekly(78))
    assert [it.is_open for it in found] == [False, True]
    first, second = (it.content["revision"] for it in found)
    assert first != second
    assert requested(store, weekly(79)) == found


def test_a_revision_that_was_retrained_is_requested_for_no_more(store: Store) -> None:
    """Its own bad labels stay in the windows for weeks."""
    (request,) = requested(store, released(now=60, labelled=30))
    assert request.is_open
    for now in range(61, 110):
        (request,) = requested(store, released(61, now=now, labelled=30))
        # A revision answers while its newest record is a day older than the model's.
        assert request.is_open is (now < 63)
