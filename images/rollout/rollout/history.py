"""History of each gate's bounds since the step began.

It follows from the counts, so a restarted controller shows the same. The counts are the
current ones: a late label has changed the interval of its prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rollout.cohorts import What
from rollout.contrast import Contrast
from rollout.counts import Series
from rollout.difference import Difference
from rollout.distance import Distance
from rollout.gate import Limits
from rollout.settings import Gate, Settings

MOST_POINTS = 48
"""Maximum points of a gate: enough for a chart, however many intervals there are."""


@dataclass(frozen=True)
class Point:
    """A gate's figures after some intervals; shares, not points."""

    end: int
    """End of the newest interval, in Unix seconds."""
    intervals: int
    """Number of intervals that count so far."""
    estimate: float
    lower: float
    upper: float


def points(
    settings: Settings, counts: Mapping[str, Series]
) -> dict[str, tuple[Point, ...]]:
    """Return the points by gate, the oldest first; the last one is the judgement's."""
    return {
        gate.name: tuple(_of_gate(gate, counts[gate.name], settings))
        for gate in settings.gates
        if gate.name in counts
    }


def _of_gate(gate: Gate, series: Series, settings: Settings) -> Iterator[Point]:
    limits = Limits.of(settings.errors_allowed, len(settings.gates))
    if gate.cohorts is not None and gate.cohorts.what is What.SCORES:
        looks = _of_scores(series)
    else:
        looks = _of_counts(gate, series)
    length = gate.length(settings)
    for start, whole, due in looks:
        yield Point(
            start + length,
            whole.intervals,
            whole.estimate,
            whole.bounds(limits.slow)[0],
            due.bounds(limits.promotion)[1],
        )


Sums = Difference | Distance
Look = tuple[int, Sums, Sums]
"""Start of the newest interval, the sums of all, and of those that are due."""


def _of_counts(gate: Gate, series: Series) -> Iterator[Look]:
    is_gap = gate.cohorts is not None and gate.cohorts.what.is_gap
    whole, due = (
        Contrast() if is_gap else Difference(paired=gate.paired) for _ in range(2)
    )
    taken = _taken(len(series.intervals))
    for place, interval in enumerate(series.intervals):
        for sums in (whole, due) if series.is_due(interval.start) else (whole,):
            if isinstance(sums, Contrast) and series.others:
                sums.add_both(interval, series.others[place])
            else:
                sums.add(interval)
        if place in taken:
            yield interval.start, whole, due


def _of_scores(series: Series) -> Iterator[Look]:
    found = [it for it in series.scores if series.is_due(it.start)]
    taken, distance = _taken(len(found)), Distance()
    for place, scores in enumerate(found):
        distance.add(scores)
        if place in taken:
            yield scores.start, distance, distance


def _taken(total: int) -> range:
    """Places at equal distances, the last one among them."""
    every = max(1, -(-total // MOST_POINTS))
    return range((total - 1) % every, total, every)
