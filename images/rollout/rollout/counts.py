"""What the gates count: requests and the bad ones, by revision and interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any


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
    """Share of the canary's predictions that have a label; None: needs no labels."""

    def plain(self) -> dict[str, Any]:
        """As JSON without fractions: start, then total and bad of canary and stable."""
        rows = [
            [it.start, it.canary.total, it.canary.bad, it.stable.total, it.stable.bad]
            for it in self.intervals
        ]
        return {
            "coverage": "" if self.coverage is None else repr(self.coverage),
            "intervals": rows,
        }

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Series:
        """What `plain` gave; KeyError, TypeError or ValueError for anything else."""
        coverage = float(raw["coverage"]) if raw["coverage"] else None
        return cls(tuple(_intervals(raw["intervals"])), coverage)


def _intervals(rows: Sequence[Sequence[int]]) -> Iterable[Interval]:
    def one(start: int, n1: int, x1: int, n0: int, x0: int) -> Interval:
        return Interval(start, Tally(n1, x1), Tally(n0, x0))

    return starmap(one, rows)
