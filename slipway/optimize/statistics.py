"""Statistics that show whether two models answer alike, and which is faster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NORMAL_95 = 1.959964
"""Of the standard normal distribution: 95 % lie within it on both sides."""
TAIL = 0.025
BINS, PROBABILITY_BINS = 10, 20
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its 95 % interval."""

    value: float
    lower: float
    upper: float


def accuracy_change(before: Flags, after: Flags) -> Interval:
    """The change of accuracy on the same rows; flags say which answers were right."""
    gained = int((after & ~before).sum())
    lost = int((before & ~after).sum())
    return paired_change(gained, lost, len(before))


def paired_change(gained: int, lost: int, rows: int) -> Interval:
    """The change of accuracy if `gained` of the rows became right and `lost` wrong.

    The interval adds half a row to each of the four outcomes, so that rows of which
    none has changed do not prove a change of 0 (A. Agresti and Y. Min, Statistics in
    Medicine 24, 2005, 729-740).
    """
    total = rows + 2
    middle = (gained - lost) / total
    variance = ((gained + lost + 1) / total - middle**2) / total
    half = NORMAL_95 * math.sqrt(variance)
    return Interval((gained - lost) / rows, middle - half, middle + half)


def stability_index(before: Floats, after: Floats) -> float:
    """The population stability index of scores.

    Of probabilities in 20 bins of one width, as reference.json has them: deciles of a
    model that is sure of most rows would tell thousandths apart. Else by deciles of
    those before.
    """
    known = np.unique(before)
    if known[0] >= 0 and known[-1] <= 1:
        wanted: Floats = np.arange(1, PROBABILITY_BINS) / PROBABILITY_BINS
    else:
        shares = np.arange(1, BINS) / BINS
        wanted = np.quantile(before, shares, method="inverted_cdf")
    places = np.unique(np.searchsorted(known, wanted, side="right") - 1)
    places = places[(places >= 0) & (places < len(known) - 1)]
    # Half-way between two scores: many rows of a tree have one score, and rounding must
    # not move them into another bin.
    bounds = (known[places] + known[places + 1]) / 2
    first, second = (_shares(it, bounds) for it in (before, after))
    return float(((second - first) * np.log(second / first)).sum())


def _shares(scores: Floats, bounds: Floats) -> Floats:
    """The share of each bin, and half a row more, as none may be 0."""
    counts = np.bincount(np.searchsorted(bounds, scores), minlength=len(bounds) + 1)
    shares = (counts + 0.5) / (len(scores) + 0.5 * len(counts))
    return shares.astype(np.float64)


def median_interval(values: Sequence[float]) -> Interval:
    """The median and its interval by ranks, which supposes no distribution.

    ValueError for fewer than 6 values, of which no two ranks are 95 % apart.
    """
    ordered, count = sorted(values), len(values)
    rank, below = 0, 0.0
    while (more := below + math.comb(count, rank) / 2**count) <= TAIL:
        rank, below = rank + 1, more
    if not rank:
        raise ValueError(f"{count} values have no 95 % interval; give 6 or more")
    return Interval(float(np.median(ordered)), ordered[rank - 1], ordered[count - rank])
