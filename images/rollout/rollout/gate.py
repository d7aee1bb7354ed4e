"""One gate: whether its counts ask for a rollback, allow a promotion, or neither.

Two lanes lead to a rollback. The fast one asks who made the bad requests, and needs a
large difference beside strong evidence. The slow one takes an interval as its unit, so
that bursts do not mislead it. A promotion needs the upper bound of the difference below
what the gate tolerates. docs/rollout-gates.md shows the error rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rollout.contrast import Contrast
from rollout.counts import Interval, Series
from rollout.culprit import Culprit
from rollout.difference import Difference
from rollout.settings import ErrorsAllowed, Gate, RollbackWhen

SLOW_INTERVALS = 10
"""Fewest intervals of the slow lane: the bounds hold for many."""
FAST_FACTOR = 10.0
"""Factor by which the fast lane needs more evidence than its share of the errors."""
FAST_MARGINS = 2.0
"""Least difference of the fast lane, in multiples of what is tolerated."""
LEAST_REQUESTS = 1000
REQUESTS_BY_MARGIN = 5.0
"""A canary as bad as tolerated has no bad request among 5/margin with chance e^-5."""


class Call(StrEnum):
    """One gate's conclusion."""

    PROMOTE = "promote"
    HOLD = "hold"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class Judgement:
    """A gate's conclusion, with its figures; shares, not points."""

    gate: str
    call: Call
    reason: str
    intervals: int
    requests: tuple[int, int]
    """Of canary and stable."""
    bad: tuple[int, int]
    estimate: float
    lower: float
    """Above 0 (or the margin): the slow lane rolls back."""
    upper: float
    """Below the margin: the gate allows a promotion."""
    evidence: float
    """Against the canary, a likelihood ratio."""


@dataclass(frozen=True)
class Limits:
    """What a gate compares its figures with, by the settings and the number of gates.

    Rollbacks share their errors among the gates, since any gate can roll back. A
    promotion needs all gates, and a harmful revision has to pass the gate that it
    harms: nothing is shared.
    """

    slow: float
    evidence: float
    promotion: float

    @classmethod
    def of(cls, allowed: ErrorsAllowed, gates: int) -> Limits:
        slow = allowed.false_rollback / gates
        return cls(slow, FAST_FACTOR / slow, allowed.false_promotion)


class Sums:
    """Everything about one gate's intervals; `add` each, then `judge`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.contrast = Contrast()
        is_gap = gate.cohorts is not None and gate.cohorts.what.is_gap
        self.difference = self.contrast if is_gap else Difference(paired=gate.paired)
        self.culprit = Culprit()
        self._total = [0, 0]
        self._bad = [0, 0]

    def add(self, interval: Interval) -> None:
        self.difference.add(interval)
        self.culprit.add(interval)
        self._count(interval)

    def add_gap(self, group: Interval, others: Interval) -> None:
        """For a group and all others, the fast lane does not apply."""
        self.contrast.add_both(group, others)
        self._count(group)

    def _count(self, interval: Interval) -> None:
        for place, tally in enumerate((interval.canary, interval.stable)):
            self._total[place] += tally.total
            self._bad[place] += tally.bad

    def judge(
        self,
        limits: Limits,
        min_intervals: int,
        coverage: float | None = None,
        due: Sums | None = None,
    ) -> Judgement:
        """`due`: the sums that a promotion rests on, where these hold more."""
        lower, _ = self.difference.bounds(limits.slow)
        _, upper = (due or self).difference.bounds(limits.promotion)
        call, reason = self._harm(limits, lower)
        if call is Call.HOLD and not reason:
            call, reason = (due or self)._promotion(min_intervals, upper, coverage)
        return Judgement(
            self._gate.name,
            call,
            reason,
            self.difference.intervals,
            (self._total[0], self._total[1]),
            (self._bad[0], self._bad[1]),
            self.difference.estimate,
            lower,
            upper,
            self.culprit.evidence,
        )

    def _harm(self, limits: Limits, lower: float) -> tuple[Call, str]:
        margin, estimate = self._gate.tolerate, self.difference.estimate
        worse = points(estimate)
        if self.culprit.evidence >= limits.evidence and estimate > (
            FAST_MARGINS * margin
        ):
            return Call.ROLLBACK, f"the canary makes the bad ones: {worse} more"
        if self.difference.intervals < SLOW_INTERVALS or lower <= 0:
            return Call.HOLD, ""
        if self._gate.rollback_when is RollbackWhen.ANY_HARM or estimate > margin:
            return Call.ROLLBACK, f"worse in the long run: {worse} more"
        return Call.HOLD, f"worse by {worse}, which is tolerated"

    def _promotion(
        self, min_intervals: int, upper: float, coverage: float | None
    ) -> tuple[Call, str]:
        gate = self._gate
        if lack := self._lack(min_intervals, coverage):
            return Call.HOLD, lack
        if upper >= gate.tolerate:
            limit = points(gate.tolerate)
            return Call.HOLD, f"may be worse by {points(upper)}; tolerated is {limit}"
        return Call.PROMOTE, f"worse by at most {points(upper)}"

    def _lack(self, min_intervals: int, coverage: float | None) -> str:
        """Return what is missing for a promotion; empty if nothing is."""
        gate = self._gate
        requests, intervals = self._total[0], self.difference.intervals
        few = gate.cohorts.least_rows if gate.cohorts else 0
        needed = few or needed_requests(gate.tolerate)
        if coverage is not None and coverage < gate.min_coverage:
            text = f"{coverage:.0%} of the {self._covered()}"
            return f"{text}; {gate.min_coverage:.0%} are needed"
        if intervals < min_intervals:
            return f"{intervals} intervals of {min_intervals}"
        if requests < needed:
            return f"{requests} {'pairs' if gate.paired else 'requests'} of {needed}"
        return ""

    def _covered(self) -> str:
        if self._gate.paired:
            return "copies have their original's answer and a label"
        return "predictions have labels"


def needed_requests(margin: float) -> int:
    """Requests of the canary before a promotion."""
    return max(LEAST_REQUESTS, round(REQUESTS_BY_MARGIN / margin))


def points(share: float) -> str:
    """A share as text in percentage points."""
    return f"{share * 100:.2f} points"


def judge(
    gate: Gate,
    series: Series,
    allowed: ErrorsAllowed,
    *,
    gates: int,
    min_intervals: int,
    kind: type[Sums] = Sums,
) -> Judgement:
    """Return a gate's judgement of all its intervals."""
    limits = Limits.of(allowed, gates)
    missing = gate.min_coverage > 0 and series.coverage is None
    coverage = 0.0 if missing else series.coverage
    due = None if series.due is None else _sums(kind(gate), series, only_due=True)
    whole = _sums(kind(gate), series, only_due=False)
    return whole.judge(limits, min_intervals, coverage, due)


def _sums(sums: Sums, series: Series, *, only_due: bool) -> Sums:
    """Harm counts as soon as it is seen, and a promotion waits for the labels."""
    for place, interval in enumerate(series.intervals):
        if only_due and not series.is_due(interval.start):
            continue
        if series.others:
            sums.add_gap(interval, series.others[place])
        else:
            sums.add(interval)
    return sums


def of_all(judgements: Sequence[Judgement]) -> tuple[Call, str]:
    """Combine the gates: any can roll back, all must promote."""
    for call in (Call.ROLLBACK, Call.HOLD):
        found = [it for it in judgements if it.call is call]
        if found:
            return call, "; ".join(f"{it.gate}: {it.reason}" for it in found)
    return Call.PROMOTE, "; ".join(f"{it.gate}: {it.reason}" for it in judgements)
