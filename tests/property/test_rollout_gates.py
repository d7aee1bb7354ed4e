"""The error rates that docs/rollout-gates.md states, by the same seeded simulation.

Bounds are the stated rate and three standard deviations of so many runs.
"""

from __future__ import annotations

import math

import pytest

from benchmarks import rollout_scenarios as scenarios
from benchmarks.rollout_contenders import OF_ERRORS, OF_LABELS
from benchmarks.rollout_scenarios import Scenario

RUNS, SEED = 200, 7
BY_NAME = {(one.name, one.least): one for one in OF_ERRORS}
BY_LABELS = {(one.name, one.least): one for one in OF_LABELS}
OURS = BY_NAME["ours", 30]


def most(rate: float, count: int = RUNS) -> float:
    return rate + 3 * math.sqrt(rate * (1 - rate) / count)


@pytest.mark.parametrize("scenario", scenarios.EQUAL, ids=lambda it: it.name)
def test_equal_revisions_are_seldom_rolled_back(scenario: Scenario) -> None:
    """Settings allow .05, in an incident, under bursts and while the weight rises."""
    for ends in OURS.cells(scenario, RUNS, SEED):
        assert ends.rolled_back <= most(0.05)


@pytest.mark.parametrize("scenario", scenarios.WORSE, ids=lambda it: it.name)
def test_what_is_as_bad_as_tolerated_is_seldom_promoted(scenario: Scenario) -> None:
    """Settings allow .05; bursts of a rate this low take .07 of the runs."""
    for ends in OURS.cells(scenario, RUNS, SEED):
        assert ends.promoted <= most(0.07 if scenario.bursty else 0.05)


def test_harm_is_found_within_minutes_and_always() -> None:
    for ends, minutes in zip(
        OURS.cells(scenarios.CAUGHT, RUNS, SEED), (5, 2), strict=True
    ):
        assert ends.rolled_back == 1
        assert ends.median(-1) <= minutes


def test_a_good_revision_is_promoted() -> None:
    for ends in OURS.cells(scenarios.EQUAL[0], RUNS, SEED):
        assert ends.promoted >= 0.95


def test_other_ways_to_judge_err_as_the_page_says() -> None:
    """Or the comparison is with straw men, or the simulation with no storm in it."""
    equal_high, incident, bursty, ramp = scenarios.EQUAL[1:5]

    def rolled_back(name: str, least: int, scenario: Scenario) -> list[float]:
        found = BY_NAME[name, least].cells(scenario, RUNS, SEED)
        return [ends.rolled_back for ends in found]

    assert min(rolled_back("threshold", 10, equal_high)) > 0.9
    assert min(rolled_back("threshold", 10, incident)) > 0.9
    assert rolled_back("z-test", 60, bursty)[1] > 0.5
    assert min(rolled_back("pooled sequence", 10, ramp)) > 0.9
    assert rolled_back("culprit", 10, bursty)[1] > 0.3


def test_accuracy_by_labels_and_in_the_shadow() -> None:
    """Settings allow .05; pairs decide in a fraction of the time."""
    ours, shadow = BY_LABELS["ours", 30], BY_LABELS["ours, shadow", 2]
    for one in (ours, shadow):
        count = RUNS // 4
        for ends in one.cells(scenarios.LABELLED_EQUAL, count, SEED):
            assert ends.rolled_back <= most(0.05, count)
        for ends in one.cells(scenarios.LABELLED_AT_MARGIN, count, SEED):
            assert ends.promoted <= most(0.05, count)
    few, many = shadow.cells(scenarios.LABELLED_EQUAL, RUNS // 4, SEED)
    assert few.median(1) <= 24
    assert many.median(1) <= 6
