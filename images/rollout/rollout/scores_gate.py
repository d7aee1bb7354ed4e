"""The gate of scores: whether both revisions give scores that are spread alike.

Different scores alone do no harm: a better model has other ones. So this gate
never takes the canary back. It holds until a person has looked.
"""

from __future__ import annotations

from rollout.counts import Series
from rollout.distance import Distance
from rollout.gate import Call, Judgement, Limits, needed_requests, points
from rollout.settings import ErrorsAllowed, Gate


def judge(
    gate: Gate,
    series: Series,
    allowed: ErrorsAllowed,
    *,
    gates: int,
    min_intervals: int,
) -> Judgement:
    """Return the gate's judgement of the intervals that are due."""
    limits, distance = Limits.of(allowed, gates), Distance()
    totals = [0, 0]
    for one in (it for it in series.scores if series.is_due(it.start)):
        distance.add(one)
        totals[0] += sum(one.canary)
        totals[1] += sum(one.stable)
    lower, _ = distance.bounds(limits.slow)
    _, upper = distance.bounds(limits.promotion)
    call, reason = _call(
        gate, distance.intervals, min_intervals, totals[0], (lower, upper)
    )
    return Judgement(
        gate.name,
        call,
        reason,
        distance.intervals,
        (totals[0], totals[1]),
        (0, 0),
        distance.estimate,
        lower,
        upper,
        1.0,
    )


def _call(
    gate: Gate,
    intervals: int,
    min_intervals: int,
    requests: int,
    bounds: tuple[float, float],
) -> tuple[Call, str]:
    (lower, upper), needed = bounds, needed_requests(gate.tolerate)
    limit = points(gate.tolerate)
    if lower > gate.tolerate:
        text = f"scores lie apart by at least {points(lower)}; tolerated is {limit}"
        return Call.HOLD, f"{text}: a person decides, by `slipway rollout promote`"
    if intervals < min_intervals:
        return Call.HOLD, f"{intervals} intervals of {min_intervals}"
    if requests < needed:
        return Call.HOLD, f"{requests} requests of {needed}"
    if upper >= gate.tolerate:
        text = f"scores may lie apart by {points(upper)}"
        return Call.HOLD, f"{text}; tolerated is {limit}"
    return Call.PROMOTE, f"scores lie apart by at most {points(upper)}"
