"""Metrics of a model by group of people, and whether they are within limits.

A figure of few rows says nothing: the verdict is then "not enough data", never "fair".
A figure without rows that it is of (a true-positive rate without positives) is None and
its verdict "undefined".

Intervals of differences and ratios hold for all pairs of the compared groups at once
(Bonferroni): the groups furthest apart are so by chance too. Of nine groups with equal
rates of .1 and 30 to 120 rows, the four-fifths rule is then broken in at most .01 of
the audits; with the interval of a single pair in .24 (2026-11-29).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from model_monitor.statistics import checks, intervals
from model_monitor.statistics.intervals import Interval, Proportion

FOUR_FIFTHS = 0.8
"""Least ratio of selection rates: 29 CFR 1607.4(D)."""
MIN_GROUP = 30
"""Rows below which a group's rate is compared with nothing."""

Verdict = Literal["not enough data", "undefined", "within limits", "outside limits"]
Rate = Literal["selection", "true positive", "false positive", "accuracy"]


@dataclass(frozen=True)
class Cells:
    """Rows of a group by decision and label; those of two days add up.

    Positive decisions are `tp` and `fp`, positive labels `tp` and `fn`. Without labels,
    give selected rows as `fp` and others as `tn`: selection rates need no more.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __post_init__(self) -> None:
        for name in ("tp", "fp", "fn", "tn"):
            checks.count(getattr(self, name), name)

    def __add__(self, other: Cells) -> Cells:
        return Cells(
            self.tp + other.tp,
            self.fp + other.fp,
            self.fn + other.fn,
            self.tn + other.tn,
        )

    @property
    def n(self) -> int:
        return self.tp + self.fp + self.fn + self.tn

    def rate(self, name: Rate) -> Proportion:
        """Return a rate as successes and the rows that they are of."""
        return RATES[name](self)


RATES: Mapping[Rate, Callable[[Cells], Proportion]] = {
    "selection": lambda cells: (cells.tp + cells.fp, cells.n),
    "true positive": lambda cells: (cells.tp, cells.tp + cells.fn),
    "false positive": lambda cells: (cells.fp, cells.fp + cells.tn),
    "accuracy": lambda cells: (cells.tp + cells.tn, cells.n),
}
Groups = Mapping[str, Cells]


@dataclass(frozen=True)
class Comparison:
    """A group's rate beside that of a reference group.

    `n` are the rows that the group's rate is of. `difference` is the rate less the
    reference's, `ratio` the rate over it; each None where undefined.
    """

    group: str
    reference: str
    n: int
    value: Interval | None
    difference: Interval | None
    ratio: Interval | None
    difference_verdict: Verdict
    ratio_verdict: Verdict


def rates(
    groups: Groups, rate: Rate, level: float = 0.95
) -> dict[str, Interval | None]:
    """Return a rate of every group with Wilson's interval."""
    return {
        name: intervals.wilson(*cells.rate(rate), level)
        for name, cells in groups.items()
    }


def largest(groups: Groups) -> str:
    """Return the group with the most rows; of several, the first by name."""
    _some(groups)
    return min(groups, key=lambda name: (-groups[name].n, name))


def best(groups: Groups, rate: Rate, min_group: int = MIN_GROUP) -> str | None:
    """Return the group with the highest rate of those with enough rows, if any."""
    shares = _shares(groups, rate, min_group)
    return min(shares, key=lambda name: (-shares[name], name)) if shares else None


def compare(
    groups: Groups,
    rate: Rate,
    *,
    reference: str | None = None,
    min_group: int = MIN_GROUP,
    least_ratio: float = FOUR_FIFTHS,
    most_difference: float = 0.1,
    level: float = 0.95,
) -> list[Comparison]:
    """Return every other group's rate against the reference's (default: the largest).

    With `best` as reference the ratio is that of the four-fifths rule. A verdict is
    "outside limits" only if the whole interval is: the ratio's below `least_ratio`, the
    difference's beyond `most_difference` to either side. "Within limits" therefore
    means not shown to be outside. `level` is that of all pairs of groups with enough
    rows together; that of each group's own interval is `level` itself.
    """
    chosen = largest(groups) if reference is None else reference
    if chosen not in groups:
        raise ValueError(f"reference = {chosen!r}: none of {', '.join(groups)}")
    of_reference = groups[chosen].rate(rate)
    of_pair = _level_of_pair(len(_shares(groups, rate, min_group)), level)
    found = []
    for name, cells in groups.items():
        if name == chosen:
            continue
        own = cells.rate(rate)
        difference = intervals.difference(own, of_reference, of_pair)
        ratio = intervals.ratio(own, of_reference, of_pair)
        n = min(own[1], of_reference[1])
        found.append(
            Comparison(
                name,
                chosen,
                own[1],
                intervals.wilson(*own, level),
                difference,
                ratio,
                difference_verdict(difference, n, most_difference, min_group),
                ratio_verdict(ratio, n, least_ratio, min_group),
            )
        )
    return found


def ratio_verdict(
    ratio: Interval | None,
    n: int,
    least: float = FOUR_FIFTHS,
    min_group: int = MIN_GROUP,
) -> Verdict:
    """Return the verdict on a ratio of which the smaller group has n rows."""
    return _verdict(ratio, n, min_group, lambda it: it.high < least)


def difference_verdict(
    difference: Interval | None, n: int, most: float, min_group: int = MIN_GROUP
) -> Verdict:
    """Return the verdict on a difference of which the smaller group has n rows."""
    return _verdict(
        difference, n, min_group, lambda it: it.low > most or it.high < -most
    )


def demographic_parity_difference(
    groups: Groups, min_group: int = MIN_GROUP, level: float = 0.95
) -> Interval | None:
    """Return the highest selection rate less the lowest, of groups with enough rows.

    None with fewer than two.
    """
    return _spread(groups, "selection", min_group, level)


def demographic_parity_ratio(
    groups: Groups, min_group: int = MIN_GROUP, level: float = 0.95
) -> Interval | None:
    """Return the lowest selection rate over the highest; None as for the difference.

    Also None where nobody is selected.
    """
    shares = _shares(groups, "selection", min_group)
    if len(shares) < 2:
        return None
    low, high = (groups[name].rate("selection") for name in _ends(shares))
    return intervals.ratio(low, high, _level_of_pair(len(shares), level))


def equalized_odds_difference(
    groups: Groups, min_group: int = MIN_GROUP, level: float = 0.95
) -> Interval | None:
    """Return the larger spread of the true-positive and false-positive rates.

    Groups with fewer than `min_group` positives (negatives) are left out of the one
    (other) rate, those without any always: no rate is not a rate of 0. None where fewer
    than two groups are left for one of the rates.
    """
    level = 1 - (1 - level) / 2
    positive = _spread(groups, "true positive", min_group, level)
    negative = _spread(groups, "false positive", min_group, level)
    if positive is None or negative is None:
        return None
    return max(positive, negative, key=lambda spread: spread.value)


def _verdict(
    figure: Interval | None,
    n: int,
    min_group: int,
    is_outside: Callable[[Interval], bool],
) -> Verdict:
    if figure is None:
        return "undefined"
    if n < min_group:
        return "not enough data"
    return "outside limits" if is_outside(figure) else "within limits"


def _shares(groups: Groups, rate: Rate, min_group: int) -> dict[str, float]:
    """Return the rate of each group of which enough rows have one."""
    _some(groups)
    shares = {}
    for name, cells in groups.items():
        successes, n = cells.rate(rate)
        if n >= max(1, min_group):
            shares[name] = successes / n
    return shares


def _ends(shares: Mapping[str, float]) -> tuple[str, str]:
    """Return the groups with the lowest and the highest share."""
    ordered = sorted(shares, key=lambda name: (shares[name], name))
    return ordered[0], ordered[-1]


def _level_of_pair(groups: int, level: float) -> float:
    """Return the level of one pair such that all pairs together have `level`."""
    pairs = max(1, groups * (groups - 1) // 2)
    return 1 - (1 - checks.share(level, "level")) / pairs


def _spread(
    groups: Groups, rate: Rate, min_group: int, level: float
) -> Interval | None:
    shares = _shares(groups, rate, min_group)
    if len(shares) < 2:
        return None
    low, high = (groups[name].rate(rate) for name in _ends(shares))
    return intervals.difference(high, low, _level_of_pair(len(shares), level))


def _some(groups: Groups) -> None:
    if not groups:
        raise ValueError("groups = {}: give at least one")
