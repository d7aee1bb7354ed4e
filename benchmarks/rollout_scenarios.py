"""Seeded traffic of a canary and a stable revision, which gates are to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.rollout_rivals import Numbers, Runs

MINUTES = 60
CANARY = 10
"""Percent of the requests, where no ramp says otherwise."""
BURST_SHAPE = 1 / 1.5**2
"""Of the gamma distribution with mean 1 and coefficient of variation 1.5."""
INCIDENT = slice(2, 9)
"""Minutes 3 to 9."""
INCIDENT_RATE = 0.05
DIFFERING = 0.08
"""Share of requests that only one of two models gets right."""


@dataclass(frozen=True)
class Scenario:
    """Rates of bad requests, by minute if there are several of equal length."""

    name: str
    stable: Sequence[float]
    canary: Sequence[float]
    weights: Sequence[int] = (CANARY,)
    """Percent of the requests that the canary gets, by minute likewise."""
    bursty: bool = False
    """Each revision's rate of each minute is drawn anew around the given one."""
    incident: bool = False
    no_promotion: int = 0
    """Intervals in which nobody promotes: a ramp is not over before its last step."""
    intervals: int = MINUTES
    loads: tuple[int, int] = (1_200, 12_000)
    """Requests an interval of both revisions together; each is a cell's figure."""

    def runs(self, requests: int, count: int, chance: np.random.Generator) -> Runs:
        """`count` runs with so many requests an interval of both revisions together."""
        weights = _spread(self.weights, self.intervals)
        canary = np.round(requests * weights / 100).astype(np.int64)
        stable = requests - canary
        rate1 = self._rates(self.canary, count, chance)
        rate0 = self._rates(self.stable, count, chance)
        return Runs(
            canary=canary,
            stable=stable,
            canary_bad=chance.binomial(canary, rate1),
            stable_bad=chance.binomial(stable, rate0),
            canary_rate=rate1,
        )

    def pairs(self, requests: int, count: int, chance: np.random.Generator) -> Runs:
        """The same with both answers to every request (shadow).

        DIFFERING of the answers differ in whether they are right, so that each bad one
        counted here is of a pair in which the other revision was right.
        """
        total = np.full(self.intervals, requests)
        worse = self.canary[0] - self.stable[0]
        shares = ((DIFFERING + worse) / 2, (DIFFERING - worse) / 2)
        shape = (count, self.intervals)
        canary = chance.binomial(requests, shares[0], shape)
        stable = chance.binomial(requests - canary, shares[1] / (1 - shares[0]))
        rates = np.full(shape, shares[0])
        return Runs(total, total, canary, stable, rates)

    def _rates(
        self, given: Sequence[float], count: int, chance: np.random.Generator
    ) -> Numbers:
        rates = np.tile(_spread(given, self.intervals), (count, 1))
        if self.incident:
            rates[:, INCIDENT] = INCIDENT_RATE
        if self.bursty:
            rates *= chance.gamma(BURST_SHAPE, 1 / BURST_SHAPE, rates.shape)
        return np.minimum(rates, 1.0)


def _spread(values: Sequence[float], intervals: int) -> Numbers:
    """The values one after the other, each for as long as the others."""
    return np.repeat(np.asarray(values, float), intervals // len(values))


LOW, HIGH, AT_MARGIN, HARMFUL = 0.002, 0.012, 0.007, 0.02
RAMP = (0.002, 0.004, 0.012)
RAMP_WEIGHTS = (5, 20, 50)
EQUAL = (
    Scenario("equal .2 %", (LOW,), (LOW,)),
    Scenario("equal 1.2 %", (HIGH,), (HIGH,)),
    Scenario("incident", (LOW,), (LOW,), incident=True),
    Scenario("bursty", (LOW,), (LOW,), bursty=True),
    Scenario("ramp", RAMP, RAMP, RAMP_WEIGHTS, no_promotion=MINUTES),
    Scenario(
        "bursty ramp", RAMP, RAMP, RAMP_WEIGHTS, bursty=True, no_promotion=MINUTES
    ),
)
"""Both revisions are the same: whoever rolls back is wrong."""
WORSE = (
    Scenario("at margin", (LOW,), (AT_MARGIN,)),
    Scenario("bursty, at margin", (LOW,), (AT_MARGIN,), bursty=True),
)
"""The canary is as bad as is tolerated: whoever promotes it is wrong."""
CAUGHT = Scenario(".2 to 2 %", (LOW,), (HARMFUL,))


def _labelled(name: str, worse: float) -> Scenario:
    """A week of hours; 15 % of stable's answers are wrong."""
    wrong, hours, labels = 0.15, 168, (200, 1_000)
    return Scenario(name, (wrong,), (wrong + worse,), intervals=hours, loads=labels)


LABELLED_EQUAL = _labelled("equal", 0.0)
LABELLED_AT_MARGIN = _labelled("2 points worse", 0.02)
LABELLED_WORSE = _labelled("3 points worse", 0.03)
