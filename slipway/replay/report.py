"""A comparison of two revisions as a table for people."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.replay.pairs import Comparison, Latency, Scores, Share

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
