"""Other ways to judge a canary, for comparison with images/rollout.

Each takes a whole experiment of many runs and says when each run ended, and how. The
threshold check is like Flagger's: a request success rate of at least 99 % in the
interval, counted-up failed checks, weights of 5 to 50 % in steps of 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]
SIGNIFICANT = 1.959964
"""The normal quantile of a two-sided p of .05."""
Z_INTERVALS = 3
"""Looks before which a z-test says nothing."""
SEQUENCE_INTERVALS = 2
FAILED_CHECKS = 5
LEAST_SUCCESS = 0.99
WEIGHTS = tuple(range(5, 55, 5))


@dataclass(frozen=True)
class Runs:
    """Many runs of one scenario; arrays have a row for each run.

    Rates have shape (runs, intervals), requests (intervals,).
    """

    canary: Counts
    stable: Counts
    """Requests of each interval."""
    canary_bad: Counts
    stable_bad: Counts
    canary_rate: Numbers
    """True rates: for checks that change the weights themselves."""


@dataclass(frozen=True)
class Ends:
    """How each run ended: 1 promoted, -1 rolled back, 0 undecided; and after which."""

    outcome: Counts
    intervals: Counts

    @property
    def rolled_back(self) -> float:
        return float(np.mean(self.outcome == -1))

    @property
    def promoted(self) -> float:
        return float(np.mean(self.outcome == 1))

    def median(self, outcome: int) -> float:
        """Median number of intervals of the runs that ended so; nan if none did."""
        found = self.intervals[self.outcome == outcome]
        return float(np.median(found)) if found.size else math.nan


def first(harmful: NDArray[np.bool_], harmless: NDArray[np.bool_]) -> Ends:
    """How runs end of which each look says one of both, or neither; harm goes first."""
    any_ = harmful | harmless
    at = np.argmax(any_, axis=1)
    rows = np.arange(len(any_))
    outcome = np.where(harmful[rows, at], -1, np.where(any_[rows, at], 1, 0))
    return Ends(outcome.astype(np.int64), np.where(outcome, at + 1, any_.shape[1]))


def _pooled(runs: Runs) -> tuple[Numbers, Numbers]:
    """Difference of the rates since the start, and its standard error."""
    n1, n0 = np.cumsum(runs.canary), np.cumsum(runs.stable)
    p1 = np.cumsum(runs.canary_bad, 1) / n1
    p0 = np.cumsum(runs.stable_bad, 1) / n0
    return p1 - p0, np.sqrt(p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0)


def z_test(runs: Runs, *, least: int) -> Ends:
    """Rolls back at the first significant look, promotes at another from `least` on."""
    difference, error = _pooled(runs)
    harmful = difference > SIGNIFICANT * error
    harmful[:, : Z_INTERVALS - 1] = False
    harmless = ~harmful
    harmless[:, : least - 1] = False
    return first(harmful, harmless)


def threshold(runs: Runs) -> Ends:
    """Like Flagger's check; its own weights, so its own draws from the same rates."""
    count, intervals = runs.canary_bad.shape
    chance = np.random.default_rng(runs.canary_bad.sum())
    step, failed = np.zeros(count, int), np.zeros(count, int)
    outcome, ended = np.zeros(count, int), np.full(count, intervals)
    total = runs.canary + runs.stable
    for at in range(intervals):
        weight = np.array(WEIGHTS)[np.minimum(step, len(WEIGHTS) - 1)]
        requests = np.round(total[at] * weight / 100).astype(int)
        bad = chance.binomial(requests, runs.canary_rate[:, at])
        passes = bad <= (1 - LEAST_SUCCESS) * requests
        step, failed = step + passes, failed + ~passes
        result = np.where(failed >= FAILED_CHECKS, -1, step >= len(WEIGHTS))
        is_new = (outcome == 0) & (result != 0)
        outcome[is_new], ended[is_new] = result[is_new], at + 1
    return Ends(outcome.astype(np.int64), ended)


def last_intervals(runs: Runs, margin: float, *, good: int) -> Ends:
    """Each interval by itself within the margin; 5 failed roll back, `good` promote."""
    x1, x0 = runs.canary_bad / runs.canary, runs.stable_bad / runs.stable
    passes = x1 - x0 <= margin
    failed = np.cumsum(~passes, 1) >= FAILED_CHECKS
    return first(failed, np.cumsum(passes, 1) >= good)


def _sequence(intervals: int, allowed: float) -> Numbers:
    """Half widths of the confidence sequence, in standard errors, for each look."""
    log = -2 * math.log(allowed)
    grown = np.arange(1, intervals + 1) * (log + math.log(1 + log)) / 20 + 1
    return np.sqrt(2 * grown / (grown - 1) * np.log(np.sqrt(grown) / allowed))


def _bounded(
    difference: Numbers, error: Numbers, margin: float, least: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    radius = error * _sequence(difference.shape[1], 0.05)
    harmful, harmless = difference > radius, difference + radius < margin
    harmful[:, : SEQUENCE_INTERVALS - 1] = False
    harmless[:, : least - 1] = False
    return harmful, harmless


def pooled_sequence(runs: Runs, margin: float, *, least: int) -> Ends:
    """A confidence sequence on the difference of all requests since the start."""
    return first(*_bounded(*_pooled(runs), margin, least))


def stratified_sequence(runs: Runs, margin: float, *, least: int) -> Ends:
    """A confidence sequence on the difference within intervals, binomial errors."""
    n1, n0 = runs.canary, runs.stable
    weight = n1 * n0 / (n1 + n0)
    total = np.cumsum(weight)
    values = runs.canary_bad / n1 - runs.stable_bad / n0
    share = np.cumsum(weight * (runs.canary_bad + runs.stable_bad) / (n1 + n0), 1)
    share /= total
    difference = np.cumsum(weight * values, 1) / total
    error = np.sqrt(share * (1 - share) / total)
    return first(*_bounded(difference, error, margin, least))


def culprit(runs: Runs, margin: float, *, least: int) -> Ends:
    """The mixture test on who made the bad requests alone, at .05."""
    w = runs.canary / (runs.canary + runs.stable)
    bad = runs.canary_bad + runs.stable_bad
    logs = [
        np.cumsum(
            runs.canary_bad * math.log(ratio) - bad * np.log(w * ratio + 1 - w), 1
        )
        for ratio in 1.25 * 16 ** (np.arange(16) / 15)
    ]
    evidence = np.logaddexp.reduce(logs, axis=0) - math.log(len(logs))
    _, harmless = _bounded(*_pooled(runs), margin, least)
    return first(evidence >= math.log(1 / 0.05), harmless)
