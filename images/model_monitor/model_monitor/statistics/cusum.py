"""CUSUM: sums up small deviations in a row until they are an alarm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from model_monitor.statistics import checks

STATES = 400
"""States of the Markov chain; with 800 the run lengths of h <= 8 differ by less than
.02 %."""


@dataclass(frozen=True)
class State:
    """The two sums after some values: of deviations above and below, both >= 0."""

    above: float = 0.0
    below: float = 0.0


@dataclass(frozen=True)
class Run:
    """What a sequence of values led to.

    `alarms` are the indices of values at which a sum passed h; after one both sums
    start at 0 again. `statistic` is the larger sum at each value, shape (values,),
    before that.
    """

    alarms: tuple[int, ...]
    statistic: NDArray[np.float64]
    state: State


@dataclass(frozen=True)
class Cusum:
    """A two-sided CUSUM of standardized values (Page 1954, Biometrika 41:100).

    The sums are S+ = max(0, S+ + z - k) and S- = max(0, S- - z - k); one above h is an
    alarm. k is half of the shift to find, in standard deviations. With k = .5 and no
    shift there is an alarm every 168 values (h = 4) or 465 (h = 5).
    """

    k: float = 0.5
    h: float = 5.0

    def __post_init__(self) -> None:
        if not (0 <= self.k < math.inf and 0 < self.h < math.inf):
            raise ValueError(f"k = {self.k}, h = {self.h}: must be >= 0 and > 0")

    def run(self, values: ArrayLike, state: State | None = None) -> Run:
        """Return alarms and statistic of values in order of time, shape (values,).

        With the state of an earlier run it goes on from there: two runs in a row give
        what one run of all values gives.
        """
        given = checks.numbers(values, "values")
        start = state or State()
        above, below = start.above, start.below
        alarms = []
        statistic = np.empty(len(given))
        for index, value in enumerate(given.tolist()):
            above = max(0.0, above + value - self.k)
            below = max(0.0, below - value - self.k)
            statistic[index] = max(above, below)
            if statistic[index] > self.h:
                alarms.append(index)
                above = below = 0.0
        return Run(tuple(alarms), statistic, State(above, below))


def average_run_length(h: float, k: float = 0.5, shift: float = 0.0) -> float:
    """Return after how many values a two-sided CUSUM alarms on average.

    The values are independent, normal with mean `shift` and standard deviation 1. The
    one-sided lengths come from the Markov chain of Brook and Evans (1972, Biometrika
    59:539); their inverses add up to that of the two-sided one.
    """
    Cusum(k, h)
    checks.numbers([shift], "shift")
    return 1 / (1 / _one_sided(h, k, shift) + 1 / _one_sided(h, k, -shift))


def minimum_batch(baseline: float) -> int:
    """Return how many rows a batch needs for `standardized_errors`.

    10 errors and 10 right rows must be expected. Run lengths without a shift are then
    within 6 % of the normal ones (400,000 binomial batches, 2026-11-29).
    """
    rare = min(baseline, 1 - checks.share(baseline, "baseline"))
    return math.ceil(10 / rare)


def standardized_errors(
    errors: ArrayLike, n: ArrayLike, baseline: float
) -> NDArray[np.float64]:
    """Return how far the errors of each batch are from the baseline, in deviations.

    `errors` of `n` rows in each batch, shape (batches,); `baseline` is the error rate
    to keep. A batch of fewer rows than `minimum_batch` raises ValueError: leave it out,
    or add it to the next.

    The baseline's own error is the same in every batch and so a shift by itself, of
    about sqrt(n / rows of the baseline) deviations. With 100 times the rows of a batch,
    .1, alarms of h = 5 come every 349 batches instead of 465; with 10 times, .32, every
    92.
    """
    of_errors, rows = checks.counts(errors, "errors"), checks.counts(n, "n")
    checks.one_length(errors=of_errors, n=rows)
    least = minimum_batch(baseline)
    for index, (wrong, size) in enumerate(zip(of_errors, rows, strict=True)):
        if size < least:
            raise ValueError(
                f"n[{index}] = {size}: fewer than the {least} rows that a batch needs "
                f"at an error rate of {baseline:g}; leave it out or join batches"
            )
        if wrong > size:
            raise ValueError(f"errors[{index}] = {wrong}: more than its {size} rows")
    deviation = np.sqrt(rows * (baseline * (1 - baseline)))
    return np.asarray((of_errors - rows * baseline) / deviation, dtype=np.float64)


def _one_sided(h: float, k: float, shift: float) -> float:
    """Return the average run length of S+ from 0; states are the midpoints of cells."""
    width = 2 * h / (2 * STATES - 1)
    steps = np.arange(STATES)
    distance = (steps[np.newaxis, :] - steps[:, np.newaxis]) * width + k - shift
    moves = special.ndtr(distance + width / 2) - special.ndtr(distance - width / 2)
    moves[:, 0] = special.ndtr(-steps * width + width / 2 + k - shift)
    lengths = np.linalg.solve(np.eye(STATES) - moves, np.ones(STATES))
    return float(lengths[0])
