"""How far apart the scores of two revisions lie, with bounds at any time.

The largest difference of the shares of scores at or above a cut, over cuts of equal
distance: Kolmogorov's distance on a grid. Each cut is compared inside each interval, as
errors are (rollout/difference.py), so a change of the callers cancels.
"""

from __future__ import annotations

import math

from rollout.cohorts import Scores
from rollout.counts import Interval, Tally
from rollout.difference import Difference


class Distance:
    """Sums over intervals: `add` each one, then read the estimate and its bounds."""

    def __init__(self) -> None:
        self._cuts: list[Difference] = []

    def add(self, scores: Scores) -> None:
        canary, stable = scores.canary, scores.stable
        if not self._cuts:
            self._cuts = [Difference() for _ in canary[1:]]
        for place, cut in enumerate(self._cuts, 1):
            cut.add(
                Interval(
                    scores.start,
                    Tally(sum(canary), sum(canary[place:])),
                    Tally(sum(stable), sum(stable[place:])),
                )
            )

    @property
    def intervals(self) -> int:
        return min((it.intervals for it in self._cuts), default=0)

    @property
    def estimate(self) -> float:
        return max((abs(it.estimate) for it in self._cuts), default=0.0)

    def bounds(self, allowed: float) -> tuple[float, float]:
        """Lower and upper end; the cuts share the chance that the lower one is wrong.

        The upper one needs no share of it: where the distance is large, it is so at a
        certain cut.
        """
        if not self._cuts:
            return 0.0, math.inf
        lower = max(
            max(low, -high, 0.0)
            for low, high in (it.bounds(allowed / len(self._cuts)) for it in self._cuts)
        )
        upper = max(
            max(abs(low), abs(high))
            for low, high in (it.bounds(allowed) for it in self._cuts)
        )
        return lower, upper
