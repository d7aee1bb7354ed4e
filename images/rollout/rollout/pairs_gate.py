"""Gates of changed answers: a copy's answer beside that of its original.

The share that changes is compared with what is tolerated. Another answer is no harm by
itself: a better model has other ones. So these gates never take the canary back. They
hold until a person has looked. Which of two answers is right, the labels tell
(`paired_accuracy`, judged like every gate).
"""

from __future__ import annotations

from rollout import gate as gates_module
from rollout.cohorts import What
from rollout.counts import Interval, Series
from rollout.gate import SLOW_INTERVALS, Call, Judgement, Limits, Sums, points
from rollout.settings import ErrorsAllowed, Gate


class Changes(Sums):
    """Sums of pairs: bad are those that changed, and stable has none."""

    def add(self, interval: Interval) -> None:
        """The fast lane does not apply: nobody is to blame for a change."""
        self.difference.add(interval)
        self._count(interval)

    def _harm(self, limits: Limits, lower: float) -> tuple[Call, str]:
        del limits  # of the fast lane
        gate = self._gate
        if self.difference.intervals < SLOW_INTERVALS or lower <= gate.tolerate:
            return Call.HOLD, ""
        text = f"at least {points(lower)} of the {_what(gate)}"
        limit = points(gate.tolerate)
        return Call.HOLD, (
            f"{text}; tolerated is {limit}: a person decides, by `slipway rollout "
            "promote` or `back`"
        )

    def _promotion(
        self, min_intervals: int, upper: float, coverage: float | None
    ) -> tuple[Call, str]:
        gate = self._gate
        if lack := self._lack(min_intervals, coverage):
            return Call.HOLD, lack
        if upper >= gate.tolerate:
            text = f"up to {points(upper)} of the {_what(gate)}"
            return Call.HOLD, f"{text}; tolerated is {points(gate.tolerate)}"
        return Call.PROMOTE, f"at most {points(upper)} of the {_what(gate)}"

    def _covered(self) -> str:
        return "copies have their original's answer"


def judge(
    gate: Gate,
    series: Series,
    allowed: ErrorsAllowed,
    *,
    gates: int,
    min_intervals: int,
) -> Judgement:
    """Return the gate's judgement of all its intervals."""
    return gates_module.judge(
        gate, series, allowed, gates=gates, min_intervals=min_intervals, kind=Changes
    )


def _what(gate: Gate) -> str:
    cohorts = gate.cohorts
    if cohorts and cohorts.what is What.PAIRED_SCORES:
        return f"scores change by more than {cohorts.above}"
    return "decisions change"
