"""A metric by day with its interval, and its baseline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from model_console.charts import drawing
from model_console.charts.drawing import Scale, element

WHISKERS = 60
"""With more days, intervals are shown only as a band."""


@dataclass(frozen=True)
class Point:
    """The value of a day. `is_final`: its labels are due; others are drawn hollow."""

    day: str
    value: float
    low: float | None = None
    high: float | None = None
    is_final: bool = True

    @property
    def span(self) -> tuple[float, float]:
        if self.low is None or self.high is None:
            return self.value, self.value
        return self.low, self.high


@dataclass(frozen=True)
class Baseline:
    """The expected value, and the threshold of the alert."""

    value: float
    limit: float


def over_time(
    key: str,
    title: str,
    points: Sequence[Point],
    *,
    baseline: Baseline | None = None,
    whole: bool = False,
) -> Markup:
    """Return the chart of at least one point; `whole`: the scale is 0 to 1.

    Days without a value take no room; the line is broken there.
    """
    lines = [] if baseline is None else [baseline.value, baseline.limit]
    ends = [end for point in points for end in point.span]
    scale = (
        Scale(0, 1, drawing.BOTTOM, drawing.TOP)
        if whole
        else drawing.upright([*ends, *lines])
    )
    places = drawing.across(len(points))
    parts = [
        *drawing.vertical_axis(scale),
        *drawing.days_axis([it.day for it in points], places),
    ]
    if baseline is not None:
        parts += _baseline(baseline, scale)
    runs = list(_runs(points))
    for first, last in runs:
        parts += _run(points[first:last], places[first:last], scale)
    parts += _marks(points, places, scale)
    return drawing.chart(key, title, _description(points, baseline), parts)


def _runs(points: Sequence[Point]) -> Iterator[tuple[int, int]]:
    """Yield the places of points on days that follow each other."""
    first = 0
    for number, (left, right) in enumerate(pairwise(points), 1):
        if not _follows(left.day, right.day):
            yield first, number
            first = number
    yield first, len(points)


def _follows(left: str, right: str) -> bool:
    try:
        gap = dt.date.fromisoformat(right) - dt.date.fromisoformat(left)
    except ValueError:
        return False
    return gap <= dt.timedelta(days=1)


def _run(
    points: Sequence[Point], places: Sequence[float], scale: Scale
) -> Iterator[Markup]:
    if len(points) < 2:
        return
    both = list(zip(places, points, strict=True))
    if any(it.low is not None for it in points):
        upper = [(x, scale(it.span[1])) for x, it in both]
        lower = [(x, scale(it.span[0])) for x, it in reversed(both)]
        band = drawing.path([*upper, *lower], closed=True)
        yield element("path", d=band, class_="band")
    line = drawing.path([(x, scale(it.value)) for x, it in both])
    yield element("path", d=line, class_="line")


def _marks(
    points: Sequence[Point], places: Sequence[float], scale: Scale
) -> Iterator[Markup]:
    if len(points) > WHISKERS:
        return
    for x, it in zip(places, points, strict=True):
        low, high = it.span
        if low < high:
            ends = {"y1": scale(low), "y2": scale(high)}
            yield element("line", x1=x, x2=x, **ends, class_="whisker")
        kind = "dot" if it.is_final else "dot hollow"
        yield element("circle", cx=x, cy=scale(it.value), r=3, class_=kind)


def _baseline(baseline: Baseline, scale: Scale) -> Iterator[Markup]:
    ends = {"x1": drawing.LEFT, "x2": drawing.RIGHT}
    y = scale(baseline.value)
    yield element("line", **ends, y1=y, y2=y, class_="baseline")
    if baseline.limit != baseline.value:
        y = scale(baseline.limit)
        yield element("line", **ends, y1=y, y2=y, class_="limit")


def _description(points: Sequence[Point], baseline: Baseline | None) -> str:
    newest = points[-1]
    values = [it.value for it in points]
    said = [f"{len(points)} days from {points[0].day} to {newest.day}."]
    interval = ""
    if newest.low is not None and newest.high is not None:
        interval = f", interval {newest.low:.4g} to {newest.high:.4g}"
    said.append(f"Newest {newest.value:.4g}{interval}.")
    said.append(f"Lowest {min(values):.4g}, highest {max(values):.4g}.")
    if baseline is not None:
        said.append(f"Baseline {baseline.value:.4g}, limit {baseline.limit:.4g}.")
    return " ".join(said)
