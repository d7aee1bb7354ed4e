"""How a gate's bounds closed in: computed from the counts, and bounded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rollout import gate, history, scores_gate
from rollout.cohorts import Cohorts, Scores, What
from rollout.counts import Interval, Series, Tally
from rollout.history import MOST_POINTS
from rollout.settings import Gate, Settings

from tests.support.rollouts import SETTINGS, series

ERRORS = SETTINGS.gates[0]


def cohorts(what: What) -> Gate:
    return Gate(
        str(what), 0.05, cohorts=Cohorts(what, "m", interval_seconds=3600, group="1")
    )


def with_gate(one: Gate) -> Settings:
    return replace(SETTINGS, gates=(one,))


def one_gate(one: Gate, counts: Series) -> tuple[history.Point, ...]:
    return history.points(with_gate(one), {one.name: counts})[one.name]


def scores(rows: int) -> tuple[Scores, ...]:
    return tuple(
        Scores(3600 * row, (30, 30 + row % 3), (300, 310 - row % 5))
        for row in range(rows)
    )


def mixed(rows: int, start: int = 0) -> tuple[Interval, ...]:
    return tuple(
        Interval(start + 3600 * row, Tally(100, 3 + row % 4), Tally(900, 30 + row % 7))
        for row in range(rows)
    )


@pytest.mark.parametrize(
    ("one", "counts", "judge"),
    [
        (ERRORS, series(120, canary_bad=3, stable_bad=20), gate.judge),
        (cohorts(What.ACCURACY), Series(mixed(60), 0.9, due=3600 * 40), gate.judge),
        (
            cohorts(What.SELECTION),
            Series(mixed(30), due=3600 * 20, others=mixed(30)),
            gate.judge,
        ),
        (
            cohorts(What.SCORES),
            Series((), due=3600 * 50, scores=scores(70)),
            scores_gate.judge,
        ),
    ],
    ids=["gateway", "labels", "groups", "scores"],
)
def test_the_last_point_is_what_the_gate_says(
    one: Gate, counts: Series, judge: object
) -> None:
    found = one_gate(one, counts)
    assert callable(judge)
    said = judge(one, counts, SETTINGS.errors_allowed, gates=1, min_intervals=2)
    last = found[-1]
    assert (last.intervals, last.estimate, last.lower, last.upper) == (
        said.intervals,
        said.estimate,
        said.lower,
        said.upper,
    )
    assert len(found) > 10


def test_a_point_is_what_the_gate_said_then() -> None:
    """The interval closes in, and no later interval changes an earlier point."""
    counts = series(20, canary_bad=3, stable_bad=20)
    found = one_gate(ERRORS, counts)
    assert [it.intervals for it in found] == [*range(1, 21)]
    for place, it in enumerate(found):
        then = one_gate(ERRORS, Series(counts.intervals[: place + 1]))
        assert then[-1] == it
        assert it.end == 30 * (place + 1)
    widths = [it.upper - it.lower for it in found[1:]]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("rows", [1, 47, 48, 49, 96, 97, 1000])
def test_however_many_intervals_there_are_few_points_and_the_newest(rows: int) -> None:
    found = one_gate(ERRORS, series(rows))
    assert len(found) <= MOST_POINTS
    assert len(found) > MOST_POINTS // 2 or len(found) == rows
    assert found[-1].intervals == rows


def test_without_counts_there_are_no_points() -> None:
    assert history.points(SETTINGS, {}) == {}
    assert one_gate(ERRORS, Series(())) == ()
