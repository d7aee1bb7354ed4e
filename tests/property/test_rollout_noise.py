"""What docs/rollout-gates.md says of wrong labels, with fewer runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import rollout_noise as simulation
from benchmarks.rollout_cohorts import Ends, ends

RUNS, SEED = 100, 12


def most(rate: float) -> float:
    return rate + 3 * math.sqrt(rate * (1 - rate) / RUNS)


def week(worse: float, wrong: float, *, shrunk: bool) -> Ends:
    def run(chance: np.random.Generator) -> tuple[int, int]:
        return simulation.run(chance, worse, wrong, shrunk=shrunk)

    return ends(run, RUNS, SEED)


@pytest.mark.parametrize("wrong", [0.1, 0.2])
def test_wrong_labels_take_no_equal_revision_back(wrong: float) -> None:
    assert week(0.0, wrong, shrunk=False).share(-1) <= most(0.05)


def test_they_promote_harm_unless_less_is_tolerated() -> None:
    stated = week(0.02, 0.2, shrunk=False)
    assert stated.share(1) > most(0.05)
    assert week(0.02, 0.2, shrunk=True).share(1) <= most(0.05)


def test_with_less_tolerated_an_equal_revision_still_goes_on() -> None:
    assert week(0.0, 0.1, shrunk=True).share(1) > 0.8
