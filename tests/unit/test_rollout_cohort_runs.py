"""Whole rollouts whose labels come late: the program, hour by hour, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from rollout.cluster import Cluster
from rollout.objects import SETTINGS_KEY
from rollout.protocol import tick
from rollout.settings import Counters, Gate, Settings

from pod_parts.api_client import Api
from tests.support.cohorts import GAP, HOUR, LABELLED, LABELS_HOURS, QUALITY, Labelled
from tests.support.rollout_api import NAMES, Served, objects, serve


@pytest.fixture
def served() -> Served:
    return Served(objects(LABELLED), {"": []})


@pytest.fixture
def api(served: Served) -> Iterator[Api]:
    with serve(served) as found:
        yield found


def looks(api: Api, now: int) -> None:
    Cluster(api, api, NAMES, clock=lambda: now, monitor=api).run(tick())


def run(served: Served, api: Api, log: Labelled, ticks: range) -> list[str]:
    """Verdicts of decisions, hour by hour, until the rollout ends."""
    for hour in ticks:
        now = hour * HOUR
        served.intervals = log.answer(now)
        looks(api, now)
        if hour and served.weights()[1] in {0, 100}:
            break
    return [it["verdict"] for it in served.entries()]


def log_of(served: Served, *accuracy: float, **more: Any) -> Labelled:
    """The canary's share of an hour is what its route had when the hour was over."""

    def weight(_: int) -> int:
        return served.weights()[1]

    return Labelled((accuracy[0], accuracy[1]), weight, **more)


def test_a_revision_of_equal_quality_is_promoted(served: Served, api: Api) -> None:
    found = run(served, api, log_of(served, 0.85, 0.85), range(400))
    assert found == ["promote"] * 3
    assert served.weights() == [0, 100]
    assert [it["weights"]["after"] for it in served.entries()] == [25, 50, 100]


def test_one_that_is_3_points_less_accurate_is_taken_back(
    served: Served, api: Api
) -> None:
    found = run(served, api, log_of(served, 0.85, 0.82), range(400))
    assert found == ["promote", "rollback"]
    assert served.weights() == [100, 0]
    entry = served.entries()[-1]
    assert entry["reason"].startswith("quality: ")
    # Before the labels of the first cohort are due.
    assert entry["facts"]["now"] < LABELS_HOURS * HOUR


def test_labels_that_do_not_come_hold_until_the_deadline(
    served: Served, api: Api
) -> None:
    log = log_of(served, 0.85, 0.85, late_hours=1000.0)
    assert run(served, api, log, range(100)) == ["promote"]
    assert run(served, api, log, range(100, 402)) == ["promote", "expired"]


def test_without_the_monitor_it_holds(served: Served, api: Api) -> None:
    log = log_of(served, 0.85, 0.85)
    run(served, api, log, range(3))
    served.intervals = None
    found = Cluster(api, api, NAMES, clock=lambda: 90 * HOUR, monitor=api).run(tick())
    assert found.outcome.reason == "quality: there are no counts"
    # Nor is a controller that was not told of a monitor.
    alone = Cluster(api, api, NAMES, clock=lambda: 90 * HOUR).run(tick())
    assert alone.outcome.reason == "quality: there are no counts"


ERRORS = Gate("errors", 0.005, counters=Counters("bad_b", "bad_a"))
BOTH = replace(LABELLED, gates=(ERRORS, QUALITY), total=Counters("all_b", "all_a"))


@pytest.fixture
def unread(served: Served, api: Api) -> Served:
    """The first step has begun, and Prometheus cannot be read any more."""
    served.objects = objects(BOTH)
    looks(api, 0)
    assert served.weights() == [75, 25]
    served.counters = {}
    return served


def test_without_prometheus_harm_by_the_labels_counts(unread: Served, api: Api) -> None:
    assert run(unread, api, log_of(unread, 0.85, 0.75), range(1, 100)) == [
        "promote",
        "rollback",
    ]
    assert unread.entries()[-1]["reason"].startswith("quality: ")
    assert unread.weights() == [100, 0]


def test_without_prometheus_nothing_is_promoted(unread: Served, api: Api) -> None:
    assert run(unread, api, log_of(unread, 0.85, 0.85), range(1, 200)) == ["promote"]
    found = Cluster(api, api, NAMES, clock=lambda: 200 * HOUR, monitor=api).run(tick())
    assert found.outcome.reason == "errors: there are no counts"
    unread.intervals = None
    found = Cluster(api, api, NAMES, clock=lambda: 200 * HOUR, monitor=api).run(tick())
    assert found.outcome.reason == "the counts could not be read"


def test_a_gap_that_widens_is_taken_back(served: Served, api: Api) -> None:
    settings: Settings = replace(LABELLED, gates=(QUALITY, GAP))
    data = served.objects[NAMES.settings]["data"]
    data[SETTINGS_KEY] = json.dumps(settings.plain())
    rates = {"1": (0.5, 0.5), "2": (0.4, 0.25)}
    log = log_of(served, 0.85, 0.85, groups=rates)
    assert run(served, api, log, range(100)) == ["promote", "rollback"]
    assert served.entries()[-1]["reason"].startswith("fairness sex=2")
