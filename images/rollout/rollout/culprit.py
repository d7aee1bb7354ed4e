"""Which revision caused the bad requests: the fast lane towards a rollback.

Given that a request of an interval was bad, it was the canary's with the chance
w q / (w q + 1 - w): w is the canary's share of the interval's requests and q the ratio
of the two rates of bad requests. The likelihood ratio against q = 1, averaged over some
values of q, is a test martingale: it exceeds 1/a with a chance of at most a, however
often it is looked at (Ville's inequality). Each interval is conditioned on its own bad
requests, so incidents that both revisions share, and new weights, cancel.
"""

from __future__ import annotations

import math

from rollout.counts import Interval

RATIOS = tuple(1.25 * 16 ** (place / 15) for place in range(16))
"""Ratios of bad rates that are averaged: 1.25 to 20, evenly on a logarithmic scale."""
_LOGS = tuple(math.log(ratio) for ratio in RATIOS)


class Culprit:
    """The evidence against the canary: `add` each interval, then read `evidence`."""

    def __init__(self) -> None:
        self._logs = [0.0] * len(RATIOS)

    def add(self, interval: Interval) -> None:
        canary, stable = interval.canary, interval.stable
        bad = canary.bad + stable.bad
        if not bad or not canary.total or not stable.total:
            return
        share = canary.total / (canary.total + stable.total)
        for place, ratio in enumerate(RATIOS):
            self._logs[place] += canary.bad * _LOGS[place] - bad * math.log(
                share * ratio + 1 - share
            )

    @property
    def evidence(self) -> float:
        """The averaged likelihood ratio, cut at 1e300; 1 without bad requests."""
        highest = max(self._logs)
        mean = sum(math.exp(it - highest) for it in self._logs) / len(RATIOS)
        return math.exp(min(highest + math.log(mean), 690.0))
