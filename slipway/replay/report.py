"""A comparison of two revisions as a table for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from slipway.replay.pairs import Comparison, Latency, Scores, Share

if TYPE_CHECKING:
    from slipway.replay.labels import Accuracy

Line = tuple[str, str]


def lines(found: Comparison) -> Iterator[Line]:
    """Return the subject of the comparison, and its figures."""
    yield "pairs", f"{found.pairs:,}"
    if found.changed:
        yield from _changed(found.changed)
    else:
        yield "changed decisions", "no pair has a decision"
    if found.scores:
        yield from _scores(found.scores)
    else:
        yield "scores", "no pair has numbers"
    if found.latency:
        yield from _latency(found.latency)


def accuracy(it: Accuracy | None) -> Iterator[Line]:
    """Return the lines of a comparison with labels."""
    if it is None:
        yield "accuracy", "no pair has a label"
        return
    yield "pairs with a label", f"{it.rows:,} of {it.of:,}, {it.rows / it.of:.2%}"
    yield "accuracy, old", f"{it.stable:.2%}"
    ends = (it.change.value, it.change.lower, it.change.upper)
    change, lower, upper = (f"{100 * end:+.2f}" for end in ends)
    yield (
        "accuracy, new",
        f"{it.canary:.2%}, {change} points (95 %: {lower} to {upper})",
    )
    yield "only one is right", f"the new one {it.gained:,}, the old one {it.lost:,}"


def _changed(it: Share) -> Iterator[Line]:
    bounds = f"95 %: {it.lower:.2%} to {it.upper:.2%}"
    yield (
        "changed decisions",
        f"{it.some:,} of {it.of:,}, {it.share:.2%} ({bounds})",
    )


def _scores(it: Scores) -> Iterator[Line]:
    if it.mean is not None:
        yield "score, new less old, mean", f"{it.mean:+.3g}"
    middle = f"mean {it.mean_absolute:.3g}, median {it.median_absolute:.3g}"
    yield (
        "size of the difference",
        f"{middle}, 95 % below {it.p95_absolute:.3g}, most {it.most:.3g}",
    )


def _latency(it: Latency) -> Iterator[Line]:
    for name, median, p95 in (
        ("old", it.stable_median, it.stable_p95),
        ("new", it.canary_median, it.canary_p95),
    ):
        yield (
            f"latency, {name}",
            f"median {median * 1000:.1f} ms, 95 % below {p95 * 1000:.1f} ms",
        )
