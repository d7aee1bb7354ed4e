"""Inputs of a verdict: all of them are in the ledger's entry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.cohorts import Cohorts
from rollout.counts import Series
from rollout.settings import Settings


@dataclass(frozen=True)
class Ready:
    """Ready replicas."""

    canary: int
    stable: int

    def needed(self, weight: int) -> int:
        """Ready replicas that the canary needs for a weight in percent."""
        return max(1, math.ceil(weight * self.stable / 100))


@dataclass(frozen=True)
class Facts:
    """Facts about one step at one time; times are Unix seconds."""

    now: int
    begun: int
    started: int
    step: int
    weight: int
    ready: Ready | None
    """None: unknown."""
    counts: Mapping[str, Series] | None
    """By gate, whole intervals since the step began; None: they could not be read."""
    mirror: int = 0
    """Percent of the requests that are copied to the canary."""
    approved: int = 0
    """Weight of a step that a person has approved of, in percent; 0: none."""

    def plain(self) -> dict[str, Any]:
        """Return JSON data without fractions."""
        ready, counts = self.ready, self.counts
        # Absent where there are none: older entries have no such keys.
        some = {"mirror": self.mirror, "approved": self.approved}
        return {name: it for name, it in some.items() if it} | {
            "now": self.now,
            "begun": self.begun,
            "started": self.started,
            "step": self.step,
            "weight": self.weight,
            "ready": [ready.canary, ready.stable] if ready else None,
            "counts": None
            if counts is None
            else {name: series.plain() for name, series in sorted(counts.items())},
        }

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Facts:
        """Parse the result of `plain`; KeyError, TypeError or ValueError otherwise."""
        ready, counts = raw["ready"], raw["counts"]
        return cls(
            **dict(raw)
            | {
                "ready": Ready(*ready) if ready is not None else None,
                "counts": None
                if counts is None
                else {name: Series.of(series) for name, series in counts.items()},
            }
        )

    def missing(self, series: Series, settings: Settings) -> str:
        """What of the step's intervals is not there; empty if little enough.

        The newest two are not asked for: they may not have been scraped yet.
        """
        length = settings.interval_seconds
        first = -(-self.started // length) * length
        ended = self.now // length * length - NEWEST_INTERVALS * length
        expected = range(first, ended, length)
        there = {it.start for it in series.intervals}
        if expected and expected[-1] not in there:
            return "the newest intervals are missing"
        lost = sum(start not in there for start in expected)
        if lost > MOST_MISSING * len(expected):
            return f"{lost} of {len(expected)} intervals are missing"
        return ""

    def silent(self, series: Series, cohorts: Cohorts) -> str:
        """Whether the log has no predictions of a revision; empty if it has.

        Of the newest due intervals: an interval without predictions is no error, but a
        log that has ended must not promote by what it had before.
        """
        length, due = cohorts.interval_seconds, cohorts.due(self.now)
        first = -(-self.started // length) * length
        newest = range(max(first, due - NEWEST_INTERVALS * length), due, length)
        there = {it.start for it in series.intervals}
        if newest and not there & {*newest}:
            return "the newest intervals have no predictions of both revisions"
        return ""


NEWEST_INTERVALS = 2
MOST_MISSING = 0.1
"""Share of the intervals that a promotion can do without."""
