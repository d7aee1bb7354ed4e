"""Concept drift: CUSUM over the error rates of days, with a floor."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from model_monitor import config
from model_monitor.config import Model, Quality
from model_monitor.counts.reference import Reference
from model_monitor.figures.concept import DayErrors, over_days

from tests.support.monitor_cohorts import cohort, confused, days, only, results

FIRST = dt.date(2026, 9, 1)
SETTINGS = config.Concept()


def made_up(rates: list[float], rows: int, seed: int = 0) -> list[DayErrors]:
    """Days with errors drawn at these rates."""
    chance = np.random.default_rng(seed)
    return [
        DayErrors(day, int(chance.binomial(rows, rate)), rows)
        for day, rate in zip(days(FIRST, len(rates)), rates, strict=True)
    ]


def end(days_: list[DayErrors]) -> dt.date:
    return days_[-1].day + dt.timedelta(days=1)


def test_errors_as_frequent_as_the_baselines_are_silent() -> None:
    found = made_up([0.2] * 60, 500)
    concept = over_days(found, end(found), 0.8, SETTINGS)
    assert concept is not None
    assert not concept.detected
    assert concept.baseline == pytest.approx(0.2)
    assert concept.error == pytest.approx(
        sum(it.errors for it in found[-7:]) / 3500, abs=1e-12
    )


def test_a_lasting_rise_is_found_within_days_and_stays_found() -> None:
    # .05 of errors more are 2.8 deviations of a day's rate: 5 / (2.8 - .5), 3 days.
    for length in (3, 5, 20):
        found = made_up([0.2] * 30 + [0.25] * length, 500)
        concept = over_days(found, end(found), 0.8, SETTINGS)
        assert concept is not None
        assert concept.detected, length
        assert concept.alarms[-1] > "2026-09-30"


def test_the_statistic_is_that_of_page() -> None:
    """By hand, of 400 rows and a baseline of .2: a deviation of the errors is 8."""
    rows = [
        DayErrors(day, 80 + it, 400)
        for day, it in zip(days(FIRST, 4), [0, 16, -8, 12], strict=True)
    ]
    concept = over_days(rows, end(rows), 0.8, SETTINGS)
    assert concept is not None
    # Above: 0, 1.5, 0, 1; below: 0, 0, .5, 0.
    assert concept.statistic == pytest.approx(1.0)


def test_a_significant_trifle_stays_below_the_floor() -> None:
    found = made_up([0.21] * 30, 100_000)
    concept = over_days(found, end(found), 0.8, SETTINGS)
    assert concept is not None
    assert concept.alarms
    assert not concept.detected


def test_an_alarm_of_long_ago_and_better_quality_are_none() -> None:
    found = made_up([0.3] * 5 + [0.2] * 20, 500)
    concept = over_days(found, end(found), 0.8, SETTINGS)
    assert concept is not None
    assert concept.alarms
    assert not concept.detected
    better = made_up([0.1] * 20, 500)
    concept = over_days(better, end(better), 0.8, SETTINGS)
    assert concept is not None
    assert concept.alarms
    assert not concept.detected


def test_days_with_few_labels_are_joined() -> None:
    # At an error rate of .2 a batch needs 50 rows: two days of 25 are one.
    rows = [DayErrors(day, 25, 25) for day in days(FIRST, 3)]
    concept = over_days(rows, end(rows), 0.8, SETTINGS)
    assert concept is not None
    assert concept.alarms == ("2026-09-02",)
    assert concept.error == 1.0
    assert over_days(rows[:1], end(rows), 0.8, SETTINGS) is None


@pytest.mark.parametrize("baseline", [None, 0.0, 1.0])
def test_without_a_baseline_there_is_no_figure(baseline: float | None) -> None:
    found = made_up([0.2] * 5, 500)
    assert over_days(found, end(found), baseline, SETTINGS) is None


@pytest.mark.parametrize(
    ("model", "reference", "baseline"),
    [
        (Model("m", quality=(Quality("accuracy", 0.9),)), Reference(), 0.1),
        (Model("m"), Reference(metrics={"accuracy": 0.7}), 0.3),
        (Model("m"), Reference(), None),
    ],
)
def test_the_baseline_is_the_configured_accuracy_or_the_references(
    model: Model, reference: Reference, baseline: float | None
) -> None:
    cohorts = [
        cohort(day, confused(100, 100, 100, 100), reference) for day in days(FIRST, 3)
    ]
    now = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    revision = only(results(model, cohorts, now.replace(month=10, day=5), reference))
    # Of a horizon of 30 days only the first three are due.
    assert [it.is_due for it in revision.history] == [True, True, True]
    if baseline is None:
        assert revision.concept is None
    else:
        assert revision.concept is not None
        assert revision.concept.baseline == pytest.approx(baseline)
        assert revision.concept.detected


def test_days_with_too_few_labels_of_their_rows_are_left_out() -> None:
    """Errors that are known first would look like drift."""
    model = Model("m", quality=(Quality("accuracy", 0.9),))
    cohorts = [
        cohort(day, confused(0, 100, 100, 0, unlabelled=800)) for day in days(FIRST, 3)
    ]
    now = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
    assert only(results(model, cohorts, now)).concept is None
