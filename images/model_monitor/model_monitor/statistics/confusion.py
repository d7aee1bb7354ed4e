"""Counts of decisions by label, and a classifier's metrics from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_monitor.statistics import checks, intervals
from model_monitor.statistics.intervals import Interval


@dataclass(frozen=True)
class Confusion:
    """Rows by (decision, label), of any number of classes; those of two days add up.

    A figure is None where it is undefined: precision of a class that was never decided,
    recall of one without labels, an average over classes of which one is undefined. A
    class is one that `cells` names with at least one row; see `classes` of the
    averages.
    """

    cells: Mapping[tuple[str, str], int]

    def __post_init__(self) -> None:
        counts = checks.counts(list(self.cells.values()), "cells")
        kept = {
            cell: int(count)
            for cell, count in sorted(zip(self.cells, counts, strict=True))
            if count
        }
        object.__setattr__(self, "cells", kept)

    def __add__(self, other: Confusion) -> Confusion:
        sums = dict(self.cells)
        for cell, count in other.cells.items():
            sums[cell] = sums.get(cell, 0) + count
        return Confusion(sums)

    @property
    def n(self) -> int:
        """Rows with a decision and a label."""
        return sum(self.cells.values())

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes decided or labelled, in order."""
        return tuple(sorted({name for cell in self.cells for name in cell}))

    def decided(self, name: str) -> int:
        """Return how many rows were decided to be of a class."""
        return sum(
            rows for (decision, _), rows in self.cells.items() if decision == name
        )

    def labelled(self, name: str) -> int:
        """Return how many rows turned out to be of a class."""
        return sum(rows for (_, label), rows in self.cells.items() if label == name)

    def accuracy(self, level: float = 0.95) -> Interval | None:
        """Return the share of right decisions, with Wilson's interval."""
        right = sum(
            rows for (decision, label), rows in self.cells.items() if decision == label
        )
        return intervals.wilson(right, self.n, level)

    def precision(self, positive: str, level: float = 0.95) -> Interval | None:
        """Return how many decisions for a class were right, with Wilson's interval."""
        return intervals.wilson(self._right(positive), self.decided(positive), level)

    def recall(self, positive: str, level: float = 0.95) -> Interval | None:
        """Return how many rows of a class were decided so, with Wilson's interval."""
        return intervals.wilson(self._right(positive), self.labelled(positive), level)

    def f1(self, positive: str, level: float = 0.95) -> Interval | None:
        """Return the harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn).

        It grows with tp / (tp + fp + fn), a proportion of rows, and so has that one's
        Wilson interval, carried over. This holds for few rows and at 0 and 1, where a
        bootstrap is too narrow.
        """
        right = self._right(positive)
        rows = self.decided(positive) + self.labelled(positive) - right
        overlap = intervals.wilson(right, rows, level)
        if overlap is None:
            return None
        return Interval(_f1(overlap.value), _f1(overlap.low), _f1(overlap.high))

    def macro_precision(
        self, classes: Sequence[str] | None = None, level: float = 0.95
    ) -> Interval | None:
        """Return the plain mean of the classes' precisions, with MOVER's interval."""
        return self._mean(self.precision, classes, level)

    def macro_recall(
        self, classes: Sequence[str] | None = None, level: float = 0.95
    ) -> Interval | None:
        """Return the plain mean of the classes' recalls (balanced accuracy).

        Recalls of several classes are of different rows and so independent: the
        distances to Wilson's bounds add up as squares (MOVER: Zou and Donner 2008,
        Statistics in Medicine 27:1693).
        """
        return self._mean(self.recall, classes, level)

    def macro_f1(
        self,
        classes: Sequence[str] | None = None,
        level: float = 0.95,
        *,
        draws: int = 2000,
        seed: int = 0,
    ) -> Interval | None:
        """Return the plain mean of the classes' F1, with a bootstrap interval."""
        names = self.classes if classes is None else tuple(classes)
        if not names or any(self.f1(name) is None for name in names):
            return None
        cells = list(self.cells)
        right = np.array([[c == (name, name) for c in cells] for name in names])
        either = np.array([[c.count(name) for c in cells] for name in names])

        def figure(counts: NDArray[np.int64]) -> NDArray[np.float64]:
            tp = counts @ right.T.astype(np.int64)
            # fp + fn + 2 tp: a right row counts for its decision and for its label.
            rows = counts @ either.T.astype(np.int64)
            with np.errstate(invalid="ignore"):
                return np.asarray((2 * tp / rows).mean(axis=1), dtype=np.float64)

        return intervals.bootstrap(
            list(self.cells.values()), figure, draws=draws, level=level, seed=seed
        )

    def _right(self, name: str) -> int:
        return self.cells.get((name, name), 0)

    def _mean(
        self,
        figure: Callable[[str, float], Interval | None],
        classes: Sequence[str] | None,
        level: float,
    ) -> Interval | None:
        names = self.classes if classes is None else tuple(classes)
        figures = [figure(name, level) for name in names]
        defined = [interval for interval in figures if interval is not None]
        if not figures or len(defined) < len(figures):
            return None
        size = len(defined)
        value = sum(each.value for each in defined) / size
        below = math.hypot(*(each.value - each.low for each in defined)) / size
        above = math.hypot(*(each.high - each.value for each in defined)) / size
        return Interval(value, max(0.0, value - below), min(1.0, value + above))


def _f1(overlap: float) -> float:
    """Return F1 where tp of tp + fp + fn rows are that share."""
    return 2 * overlap / (1 + overlap)
