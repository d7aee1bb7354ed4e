"""Counts of the gates: all and bad requests, by revision and interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any

from rollout.cohorts import Scores


@dataclass(frozen=True)
class Tally:
    """Requests of one revision in one interval; ValueError if no such count can be."""

    total: int
    bad: int

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.total:
            raise ValueError(f"{self.bad} bad of {self.total} requests")


@dataclass(frozen=True)
class Interval:
    """Both revisions in the same interval.

    For paired gates each total is the number of pairs, and `bad` are the pairs in which
    this revision alone was wrong.
    """

    start: int
    """Unix seconds; a multiple of the interval's length."""
    canary: Tally
    stable: Tally


@dataclass(frozen=True)
class Series:
    """The intervals of one gate since the step began; missing ones are left out."""

    intervals: tuple[Interval, ...]
    coverage: float | None = None
    """Share of the due predictions with a label, of the revision with fewer; of pairs,
    share of the due copies that are compared. None: no labels are needed, or nothing is
    due."""
    due: int | None = None
    """Intervals that start before (Unix seconds) have all labels that are waited for,
    and a promotion rests on them alone; None: all do."""
    paired: float | None = None
    """Share of the due copies that have their original's answer, labelled or not; None:
    not asked for, or nothing is due."""
    others: tuple[Interval, ...] = ()
    """The same intervals of all others, if a group of people is compared."""
    scores: tuple[Scores, ...] = ()
    """The same intervals by score, if scores are compared."""

    def is_due(self, start: int) -> bool:
        return self.due is None or start < self.due

    def plain(self) -> dict[str, Any]:
        """As JSON without fractions: start, then total and bad of canary and stable."""
        found: dict[str, Any] = {
            "coverage": "" if self.coverage is None else repr(self.coverage),
            "intervals": _rows(self.intervals),
        }
        if self.due is not None:
            found["due"] = self.due
        if self.paired is not None:
            found["paired"] = repr(self.paired)
        if self.others:
            found["others"] = _rows(self.others)
        if self.scores:
            found["scores"] = [it.plain for it in self.scores]
        return found

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Series:
        """Parse the result of `plain`; KeyError, TypeError or ValueError otherwise."""
        coverage = float(raw["coverage"]) if raw["coverage"] else None
        return cls(
            tuple(_intervals(raw["intervals"])),
            coverage,
            due=raw.get("due"),
            paired=float(raw["paired"]) if "paired" in raw else None,
            others=tuple(_intervals(raw.get("others", ()))),
            scores=tuple(Scores.of(it) for it in raw.get("scores", ())),
        )


def _rows(intervals: Sequence[Interval]) -> list[list[int]]:
    return [
        [it.start, it.canary.total, it.canary.bad, it.stable.total, it.stable.bad]
        for it in intervals
    ]


def _intervals(rows: Sequence[Sequence[int]]) -> Iterable[Interval]:
    def one(start: int, n1: int, x1: int, n0: int, x0: int) -> Interval:
        return Interval(start, Tally(n1, x1), Tally(n0, x0))

    return starmap(one, rows)
