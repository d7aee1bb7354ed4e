"""Two revisions' answers to the same requests, compared pair by pair.

Nothing here reads or asks anything: the answers may be a log's, of copied requests, or
those of a server that has just been asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

Z = 1.959963984540054
"""Quantile of the normal distribution for intervals of 95 %."""
Value = Any
"""A number, a text, true or false, null, or a list of these."""


@dataclass(frozen=True)
class Answer:
    """One row's answer; `latency` in seconds, of the whole request."""

    decision: Value = None
    score: Value = None
    latency: float = 0.0


@dataclass(frozen=True)
class Pair:
    """Both revisions' results for one row; a label names it by `id` and `row`."""

    stable: Answer
    canary: Answer
    id: str = ""
    row: int = 0


@dataclass(frozen=True)
class Share:
    """Some of all, with Wilson's interval of 95 %; shares of 1."""

    some: int
    of: int
    share: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Scores:
    """Canary less stable; of lists the largest difference of a place counts."""

    pairs: int
    mean: float | None
    """None for lists, whose differences have no sign."""
    mean_absolute: float
    median_absolute: float
    p95_absolute: float
    most: float


@dataclass(frozen=True)
class Latency:
    """Seconds; a pair has the latencies of the two requests that it is of."""

    stable_median: float
    stable_p95: float
    canary_median: float
    canary_p95: float


@dataclass(frozen=True)
class Comparison:
    """Statistics of pairs; None if no pair has the value."""

    pairs: int
    changed: Share | None
    """Decisions that are not equal, of the pairs with a decision. The accuracies of
    the two revisions differ by no more than this share."""
    scores: Scores | None
    latency: Latency | None

    def plain(self) -> dict[str, Any]:
        """Return JSON data."""
        return asdict(self)


def compare(pairs: Iterable[Pair]) -> Comparison:
    """Compute the statistics of pairs, in any order."""
    every = list(pairs)
    return Comparison(len(every), _changed(every), _scores(every), _latency(every))


def share(some: int, of: int) -> Share:
    """A share with Wilson's interval (1927); `of` is above 0."""
    p, z2 = some / of, Z**2
    middle = (p + z2 / (2 * of)) / (1 + z2 / of)
    radius = Z / (1 + z2 / of) * math.sqrt(p * (1 - p) / of + z2 / (4 * of**2))
    # At the ends the bound is the share itself, up to the last digits.
    lower = 0.0 if not some else max(0.0, middle - radius)
    upper = 1.0 if some == of else min(1.0, middle + radius)
    return Share(some, of, p, lower, upper)


def difference(stable: Value, canary: Value) -> float | None:
    """Canary less stable; the largest absolute one of lists; None if it has no size."""
    if isinstance(stable, list) and isinstance(canary, list):
        if len(stable) != len(canary) or not stable:
            return None
        found = [difference(*both) for both in zip(stable, canary, strict=True)]
        sizes = [abs(it) for it in found if it is not None]
        return max(sizes) if len(sizes) == len(found) else None
    if not _is_number(stable) or not _is_number(canary):
        return None
    return float(canary) - float(stable)


def quantile(values: Sequence[float], share_below: float) -> float:
    """The smallest value that so many of the values do not exceed; there is one."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share_below * len(ordered)) - 1)]


def _is_number(value: Value) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _changed(pairs: Sequence[Pair]) -> Share | None:
    both = [
        it.stable.decision != it.canary.decision
        for it in pairs
        if it.stable.decision is not None and it.canary.decision is not None
    ]
    return share(sum(both), len(both)) if both else None


def _scores(pairs: Sequence[Pair]) -> Scores | None:
    found = []
    signed = True
    for pair in pairs:
        one = difference(pair.stable.score, pair.canary.score)
        if one is not None:
            found.append(one)
            signed = signed and not isinstance(pair.stable.score, list)
    if not found:
        return None
    sizes = [abs(it) for it in found]
    return Scores(
        len(found),
        fmean(found) if signed else None,
        fmean(sizes),
        quantile(sizes, 0.5),
        quantile(sizes, 0.95),
        max(sizes),
    )


def _latency(pairs: Sequence[Pair]) -> Latency | None:
    if not pairs:
        return None
    stable, canary = (
        [it.latency for it in side]
        for side in zip(*((p.stable, p.canary) for p in pairs), strict=True)
    )
    return Latency(
        quantile(stable, 0.5),
        quantile(stable, 0.95),
        quantile(canary, 0.5),
        quantile(canary, 0.95),
    )
