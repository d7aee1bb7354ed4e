"""Permutation importance with standard errors over rows and repetitions.

In each repetition every feature's values are exchanged among the rows by the same
random permutation, one feature at a time. The importance is the mean change, over rows
and repetitions. (Breiman 2001 permutes to see the loss grow; the change of the score
needs no label. Fisher, Rudin and Dominici 2019 write of model reliance.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Orders = npt.NDArray[np.intp]

Z = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error."""

    value: float
    error: float

    @property
    def low(self) -> float:
        return self.value - Z * self.error

    @property
    def high(self) -> float:
        return self.value + Z * self.error


def orders(rows: int, repetitions: int, random: np.random.Generator) -> Orders:
    """Return a permutation of the rows for each repetition."""
    return np.array([random.permutation(rows) for _ in range(repetitions)])


def estimate(changes: Floats, order: Orders) -> Estimate | None:
    """Return the mean change, or None if fewer than two rows have one.

    changes: (repetitions, rows), NaN for a row without a change (no label).
    order: the rows that each row's value came from, of the same shape.

    A row takes part as the one whose answer changes and as the one whose value is used
    in another. The standard error is that of the mean of both parts, the projection of
    a U-statistic of two rows; chance in the permutations is counted a little too high.
    """
    present = ~np.isnan(changes[0])
    if np.count_nonzero(present) < 2:
        return None
    value = float(changes[:, present].mean())
    deviation = np.where(present, changes - value, 0.0)
    rows = len(present)
    given = np.zeros(rows)
    for once, sources in zip(deviation, order, strict=True):
        # A permutation: each row is the source of just one.
        given[sources] += once
    influence = (deviation.sum(axis=0) + given) / len(changes) / present.mean()
    return Estimate(value, float(influence.std(ddof=1) / np.sqrt(rows)))


@dataclass(frozen=True)
class Changes:
    """Changes of each row's result, and of its loss, by a permuted feature."""

    outcome: Floats
    loss: Floats


def repeated(
    features: int,
    order: Orders,
    change: Callable[[int, Orders], Changes],
    stop: type[Exception],
) -> tuple[list[list[Changes]], int]:
    """Return the changes by feature and repetition, and how many repetitions ended.

    change: of a feature, by its number, and a permutation. If it raises `stop`, the
    repetitions that all features have are returned.
    """
    found: list[list[Changes]] = [[] for _ in range(features)]
    for number, once in enumerate(order):
        try:
            row = [change(feature, once) for feature in range(features)]
        except stop:
            return found, number
        for feature, it in enumerate(row):
            found[feature].append(it)
    return found, len(order)
