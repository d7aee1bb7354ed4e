"""The error rates of gates of cohorts that docs/rollout-gates.md states.

The seeded simulation of benchmarks.rollout_cohorts with fewer runs; bounds are the
stated rate and three standard deviations of so many runs.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import rollout_cohorts as simulation

RUNS, SEED = 40, 11


def most(rate: float) -> float:
    return rate + 3 * math.sqrt(rate * (1 - rate) / RUNS)


def labels(rows: int, worse: float, *, by_cohorts: bool = True) -> simulation.Ends:
    def run(chance: np.random.Generator) -> tuple[int, int]:
        return simulation.labels_run(chance, rows, worse, by_cohorts=by_cohorts)

    return simulation.ends(run, RUNS, SEED)


def gaps(share: float, widened: float, drop: float = 0.0) -> simulation.Ends:
    def run(chance: np.random.Generator) -> tuple[int, int]:
        return simulation.gap_run(chance, share, widened, drop)

    return simulation.ends(run, RUNS, SEED)


@pytest.mark.parametrize("rows", [200, 1000])
def test_an_equal_revision_is_promoted_whose_labels_come_late(rows: int) -> None:
    """Settings allow .05 to be taken back."""
    found = labels(rows, 0.0)
    assert found.share(-1) <= most(0.05)
    assert found.share(1) >= 0.9
    # Not before the labels of ten cohorts were due.
    assert found.median(1) >= simulation.DUE_DAYS + simulation.LEAST - 1


@pytest.mark.parametrize("rows", [200, 1000])
def test_one_that_is_3_points_less_accurate_is_taken_back(rows: int) -> None:
    found = labels(rows, 0.03)
    assert found.share(-1) >= 0.95
    assert found.share(1) == 0
    assert found.median(-1) <= 14


@pytest.mark.parametrize("rows", [200, 1000])
def test_one_at_the_margin_is_seldom_promoted(rows: int) -> None:
    assert labels(rows, 0.02).share(1) <= most(0.05)


def test_labels_by_their_arrival_take_equal_revisions_back() -> None:
    """Or the comparison is with a straw man: positives come before negatives."""
    assert labels(200, 0.0, by_cohorts=False).share(-1) > 0.3


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_gap_that_stays_is_no_harm_even_if_everybody_is_selected_less(
    share: float,
) -> None:
    for drop in (0.0, 0.1):
        found = gaps(share, 0.0, drop)
        assert found.share(-1) <= most(0.05)
        assert found.share(1) >= 0.8


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_gap_that_widens_is_seldom_promoted(share: float) -> None:
    assert gaps(share, 0.05).share(1) <= most(0.05)
    twice = gaps(share, 0.1)
    assert twice.share(-1) >= 0.95
    assert twice.share(1) == 0


def changes(copies: int, share: float, *, bursty: bool = False) -> simulation.Ends:
    def run(chance: np.random.Generator) -> tuple[int, int]:
        return simulation.pairs_run(chance, copies, share, bursty=bursty)

    return simulation.ends(run, RUNS, SEED)


@pytest.mark.parametrize("bursty", [False, True])
@pytest.mark.parametrize("copies", [200, 1000])
def test_as_many_changes_as_tolerated_are_seldom_promoted(
    copies: int, *, bursty: bool
) -> None:
    """Settings allow .05; a change alone takes nobody back."""
    found = changes(copies, 0.1, bursty=bursty)
    assert found.share(1) <= most(0.05)
    assert found.share(-1) == 0


def test_half_as_many_changes_are_promoted_and_more_than_tolerated_never() -> None:
    for copies in (200, 1000):
        assert changes(copies, 0.05, bursty=True).share(1) >= 0.9
    assert changes(200, 0.12).share(1) == 0
