"""How much worse the canary is, compared inside each interval, with bounds at any time.

The estimate is Mantel and Haenszel's risk difference over intervals: what happens to
both revisions in an interval (an incident, the load of the day, a new weight) cancels.
Its variance is the larger of two. The binomial one holds if requests are independent.
The one between intervals holds where errors come in bursts: an interval is its unit.

The bounds are an asymptotic confidence sequence, which may be looked at after each
interval: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit
theory and asymptotic confidence sequences", Annals of Statistics 52 (2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rollout.counts import Interval

TUNED_INTERVALS = 20
"""The number of intervals at which the bounds are the narrowest."""


@dataclass
class Difference:
    """Sums over intervals: `add` each one, then read the estimate and its bounds."""

    paired: bool = False
    intervals: int = 0
    """Those in which both revisions had requests."""
    _weight: float = 0.0
    _weighted: float = 0.0
    _bad: float = 0.0
    _squares: float = 0.0
    _first: float = 0.0
    _second: float = 0.0

    def add(self, interval: Interval) -> None:
        canary, stable = interval.canary, interval.stable
        if not canary.total or not stable.total:
            return
        weight = _weight(interval, paired=self.paired)
        value = canary.bad / canary.total - stable.bad / stable.total
        self.intervals += 1
        self._weight += weight
        self._weighted += weight * value
        self._bad += weight * _bad_share(interval, paired=self.paired)
        self._squares += weight**2
        self._first += weight**2 * value
        self._second += weight**2 * value**2

    @property
    def estimate(self) -> float:
        """Bad share of the canary less that of stable; 0 without data."""
        return self._weighted / self._weight if self._weight else 0.0

    @property
    def error(self) -> float:
        """Standard error of the estimate; infinite with fewer than two intervals."""
        if self.intervals < 2:
            return math.inf
        return math.sqrt(max(self._within(), self._between()))

    def _within(self) -> float:
        """Binomial variance; of pairs, that of their difference of -1, 0 or 1."""
        share = self._bad / self._weight
        unit = share - self.estimate**2 if self.paired else share * (1 - share)
        return max(unit, 0.0) / self._weight

    def _between(self) -> float:
        mean, k = self.estimate, self.intervals
        spread = self._second - 2 * mean * self._first + mean**2 * self._squares
        return max(spread, 0.0) / self._weight**2 * k / (k - 1)

    def bounds(self, allowed: float) -> tuple[float, float]:
        """Lower and upper end; both stay right at all times but with that chance."""
        if self.intervals < 2:
            return -math.inf, math.inf
        radius = self.error * radius_in_errors(self.intervals, allowed)
        return self.estimate - radius, self.estimate + radius


def radius_in_errors(intervals: int, allowed: float) -> float:
    """Half the width of the confidence sequence, in standard errors."""
    log = -2 * math.log(allowed)
    r = (log + math.log(1 + log)) / TUNED_INTERVALS
    grown = intervals * r + 1
    return math.sqrt(2 * grown / (grown - 1) * math.log(math.sqrt(grown) / allowed))


def _weight(interval: Interval, *, paired: bool) -> float:
    canary, stable = interval.canary.total, interval.stable.total
    return float(canary) if paired else canary * stable / (canary + stable)


def _bad_share(interval: Interval, *, paired: bool) -> float:
    """Return the share of bad requests; of pairs, those with one wrong revision."""
    canary, stable = interval.canary, interval.stable
    total = canary.total if paired else canary.total + stable.total
    return (canary.bad + stable.bad) / total
