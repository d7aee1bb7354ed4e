"""Counts of predictions: all of them can be added, and stored as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model_monitor.counts.queries import SCORE_STEP
from model_monitor.statistics.regression import Errors

STEPS = round(1 / SCORE_STEP)
Scored = npt.NDArray[np.int64]
Cell = tuple[str, str]
"""Decision and label."""
Member = tuple[str, int, int | None]
"""Value of a protected attribute, whether selected, whether labelled positive (None:
no label)."""


@dataclass
class Sums:
    """The number of values, their sum and the sum of their squares."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.n + other.n, self.total + other.total, self.squares + other.squares
        )


@dataclass
class Losses:
    """Sums over the rows that have a score and a label."""

    n: int = 0
    brier: float = 0.0
    log_loss: float = 0.0

    def __add__(self, other: Losses) -> Losses:
        return Losses(
            self.n + other.n, self.brier + other.brier, self.log_loss + other.log_loss
        )


@dataclass
class Binned:
    """A feature, or the score, by the bins of the reference.

    `bins` are those of the reference, in its order; values outside of all edges are
    counted in `below` and `above`, categories that it does not have in `unseen`.
    """

    bins: list[int]
    missing: int = 0
    unseen: int = 0
    below: int = 0
    above: int = 0
    sums: Sums = field(default_factory=Sums)

    @classmethod
    def of(cls, bins: int, rows: Iterable[Sequence[Any]]) -> Binned:
        """Return the counts of rows (slot, n, values, total, squares) of `slots`."""
        found = cls([0] * bins)
        for slot, n, values, total, squares in rows:
            if values:
                found.sums += Sums(values, total, squares)
            if slot is None:
                found.missing += n
            elif slot < 0:
                found.unseen += n
            elif slot == 0:
                found.below += n
            elif slot > bins:
                found.above += n
            else:
                found.bins[slot - 1] += n
        return found

    def __add__(self, other: Binned) -> Binned:
        """Add counts by the same bins; ValueError if the bins differ in number."""
        return Binned(
            [a + b for a, b in zip(self.bins, other.bins, strict=True)],
            self.missing + other.missing,
            self.unseen + other.unseen,
            self.below + other.below,
            self.above + other.above,
            self.sums + other.sums,
        )

    @property
    def outside(self) -> int:
        return self.below + self.above

    @property
    def present(self) -> int:
        """Rows that have a value."""
        return sum(self.bins) + self.outside + self.unseen

    @property
    def rows(self) -> int:
        return self.present + self.missing


@dataclass(eq=False)
class Counts:
    """Counts of some predictions; `+` adds the counts of both."""

    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Errors by code."""
    latency: Sums = field(default_factory=Sums)
    """Seconds, of answered and refused requests."""
    oldest: str = ""
    newest: str = ""
    """Times of the first and the last record, RFC 3339; empty without records."""
    decisions: Counter[str] = field(default_factory=Counter)
    labelled: int = 0
    confusion: Counter[Cell] = field(default_factory=Counter)
    scored: Scored | None = None
    """Labelled rows: [label, step of the score]; label 0 or 1, 0 to `STEPS` steps."""
    losses: Losses = field(default_factory=Losses)
    errors: Errors = field(default_factory=Errors)
    score: Binned | None = None
    features: dict[str, Binned] = field(default_factory=dict)
    members: dict[str, Counter[Member]] = field(default_factory=dict)
    """By protected attribute."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            answered=self.answered + other.answered,
            refused=self.refused + other.refused,
            latency=self.latency + other.latency,
            oldest=min(filter(None, (self.oldest, other.oldest)), default=""),
            newest=max(self.newest, other.newest),
            decisions=self.decisions + other.decisions,
            labelled=self.labelled + other.labelled,
            confusion=self.confusion + other.confusion,
            scored=_add(self.scored, other.scored),
            losses=self.losses + other.losses,
            errors=self.errors + other.errors,
            score=_add(self.score, other.score),
            features=_union(self.features, other.features),
            members=_union(self.members, other.members),
        )


def total(parts: Iterable[Counts]) -> Counts:
    """Return the sum of all parts."""
    found = Counts()
    for part in parts:
        found += part
    return found


def _add(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return right if left is None else left
    return left + right


def _union(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    names = [*left, *(name for name in right if name not in left)]
    return {name: _add(left.get(name), right.get(name)) for name in names}
