"""How much worse the canary is for a group of people than for all others.

The difference of two differences: canary minus stable in the group, less the same among
the others. Effects of the canary on everybody cancel out; other gates check them.
Bounds and the two variances are those of rollout/difference.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rollout.counts import Interval
from rollout.difference import Difference


@dataclass
class Contrast(Difference):
    """Sums over intervals: `add_both` each one, then read the estimate and its bounds.

    An interval counts in which each of the four had a row. Its weight is the inverse of
    the variance that it would have if all rates were equal.
    """

    _variance: float = 0.0

    def add_both(self, group: Interval, others: Interval) -> None:
        cells = (group.canary, group.stable, others.canary, others.stable)
        if not all(it.total for it in cells):
            return
        weight = 1 / sum(1 / it.total for it in cells)
        value = _worse(group) - _worse(others)
        self.intervals += 1
        self._weight += weight
        self._weighted += weight * value
        self._squares += weight**2
        self._first += weight**2 * value
        self._second += weight**2 * value**2
        self._variance += weight**2 * sum((*_binomial(group), *_binomial(others)))

    def _within(self) -> float:
        return self._variance / self._weight**2


def _worse(one: Interval) -> float:
    return one.canary.bad / one.canary.total - one.stable.bad / one.stable.total


def _binomial(one: Interval) -> Iterator[float]:
    """Variances of both rates, from the rate of both together.

    By the rule of succession, since few rows may all be good.
    """
    total = one.canary.total + one.stable.total
    share = (one.canary.bad + one.stable.bad + 1) / (total + 2)
    for tally in (one.canary, one.stable):
        yield share * (1 - share) / tally.total
