"""CUSUM against published average run lengths and a count by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_monitor.statistics import cusum
from model_monitor.statistics.cusum import Cusum, State

FEW = settings(max_examples=60, deadline=None)
VALUES = st.lists(st.floats(-4, 4), max_size=40)
PUBLISHED = {
    # Montgomery, Introduction to Statistical Quality Control: k = 1/2, two-sided.
    0.0: (168, 465),
    0.25: (74.2, 139),
    0.5: (26.6, 38.0),
    0.75: (13.3, 17.0),
    1.0: (8.38, 10.4),
    1.5: (4.75, 5.75),
    2.0: (3.34, 4.01),
    3.0: (2.19, 2.57),
}
"""Average run lengths with h = 4 and h = 5, by the shift in standard deviations."""


@pytest.mark.parametrize("shift", PUBLISHED)
def test_average_run_lengths_are_the_published_ones(shift: float) -> None:
    found = [cusum.average_run_length(h, shift=shift) for h in (4, 5)]
    # As printed: three digits.
    assert found == pytest.approx(PUBLISHED[shift], rel=0.005)
    assert cusum.average_run_length(4, shift=-shift) == pytest.approx(found[0])


def test_a_simulated_chart_has_the_computed_run_length() -> None:
    """At a shift of one deviation, 2,000 alarms: known to 1.1 %."""
    values = np.random.default_rng(1).normal(1, 1, 17000)
    alarms = Cusum(h=4).run(values).alarms
    lengths = np.diff([-1, *alarms])
    assert lengths.mean() == pytest.approx(8.38, rel=0.03)


def test_run_by_hand() -> None:
    """k = 1/2, h = 2: S+ is 1, 0, 1.5, 3 (alarm); S- then 1.5 and 3 (alarm)."""
    found = Cusum(k=0.5, h=2).run([1.5, -0.75, 2, 2, -2, -2, 0])
    assert found.alarms == (3, 5)
    assert found.statistic.tolist() == [1, 0.25, 1.5, 3, 1.5, 3, 0]
    assert found.state == State(0, 0)
    assert Cusum(k=0.5, h=2).run([0, 1, 1]).state == State(1.0, 0)


@FEW
@given(VALUES, VALUES)
def test_a_run_goes_on_from_a_state(first: list[float], second: list[float]) -> None:
    chart = Cusum(h=3)
    whole, start = chart.run(first + second), chart.run(first)
    rest = chart.run(second, start.state)
    later = tuple(len(first) + index for index in rest.alarms)
    assert start.alarms + later == whole.alarms
    assert [*start.statistic, *rest.statistic] == whole.statistic.tolist()
    assert rest.state == whole.state


def test_the_smallest_batch_has_nearly_the_normal_run_length() -> None:
    """100,000 batches of 100 rows, 10 errors expected: 600 alarms, known to 4 %."""
    errors = np.random.default_rng(1).binomial(100, 0.1, 100_000)
    values = cusum.standardized_errors(errors, np.full(100_000, 100), 0.1)
    alarms = len(Cusum(h=4).run(values).alarms)
    assert 100_000 / alarms == pytest.approx(168, rel=0.12)


def test_an_error_of_the_baseline_shortens_the_run_length() -> None:
    found = [cusum.average_run_length(5, shift=shift) for shift in (0.1, 0.32)]
    assert found == pytest.approx([349, 92], rel=0.005)


def test_standardized_errors_are_binomial_deviations() -> None:
    found = cusum.standardized_errors([10, 13, 19], [100, 100, 100], 0.1)
    assert found == pytest.approx([0, 1, 3])
    assert cusum.standardized_errors([], [], 0.1).size == 0


@pytest.mark.parametrize(
    ("baseline", "rows"), [(0.1, 100), (0.5, 20), (0.01, 1000), (0.98, 500)]
)
def test_the_least_batch_has_10_errors_and_10_right_rows(
    baseline: float, rows: int
) -> None:
    assert cusum.minimum_batch(baseline) == rows
    cusum.standardized_errors([1], [rows], baseline)
    with pytest.raises(
        ValueError, match=rf"n\[0\] = {rows - 1}: fewer than the {rows}"
    ):
        cusum.standardized_errors([1], [rows - 1], baseline)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Cusum().run([1, math.nan]), r"values\[1\] = nan: must be a finite"),
        (lambda: Cusum(h=0), "h = 0: must be >= 0 and > 0"),
        (lambda: Cusum(k=math.nan), "k = nan, h = 5.0: must be >= 0 and > 0"),
        (
            lambda: cusum.average_run_length(4, shift=math.inf),
            r"shift\[0\] = inf: must",
        ),
        (lambda: cusum.minimum_batch(0), "baseline = 0: must lie between 0 and 1"),
        (
            lambda: cusum.standardized_errors([101], [100], 0.1),
            r"errors\[0\] = 101: more than its 100 rows",
        ),
        (
            lambda: cusum.standardized_errors([1, 2], [100], 0.1),
            "errors has 2, n has 1",
        ),
    ],
)
def test_wrong_values_are_refused_with_what_was_given(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
