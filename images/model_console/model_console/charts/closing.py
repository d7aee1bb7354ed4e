"""How the interval of a difference narrows, and the limits that decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from model_console.charts import drawing
from model_console.charts.drawing import Scale, element

MOST_MARGINS = 4.0
"""Range of the scale, in multiples of the tolerance, each way: the first intervals are
as wide as the whole scale, and would leave no room for the last ones."""


@dataclass(frozen=True)
class Closing:
    """The estimate and its interval at one look; None: the bound is not known."""

    name: str
    value: float
    low: float | None
    high: float | None


def closing(
    key: str,
    title: str,
    looks: Sequence[Closing],
    *,
    margin: float | None,
    words: str,
    limit: str = "Tolerated",
) -> Markup:
    """Return the chart of at least one look.

    `margin`: what decides beside no difference, in the figures' own unit, and `limit`
    what it is; `words`: what is along the axis. What lies outside of the scale is
    drawn at its edge.
    """
    scale = _scale(looks, margin)
    places = drawing.across(len(looks))
    parts = [
        *drawing.vertical_axis(scale),
        *drawing.ends_axis(looks[0].name, looks[-1].name, places, words),
        *_lines(scale, margin),
    ]
    band = [(x, it) for x, it in zip(places, looks, strict=True) if _is_known(it)]
    if len(band) > 1:
        upper = [(x, _place(scale, it.high)) for x, it in band]
        lower = [(x, _place(scale, it.low)) for x, it in reversed(band)]
        path = drawing.path([*upper, *lower], closed=True)
        parts.append(element("path", d=path, class_="band"))
    if len(looks) > 1:
        line = [
            (x, _place(scale, it.value)) for x, it in zip(places, looks, strict=True)
        ]
        parts.append(element("path", d=drawing.path(line), class_="line"))
    x, newest = places[-1], looks[-1]
    if _is_known(newest):
        ends = {"y1": _place(scale, newest.low), "y2": _place(scale, newest.high)}
        parts.append(element("line", x1=x, x2=x, **ends, class_="whisker"))
    y = _place(scale, newest.value)
    parts.append(element("circle", cx=x, cy=y, r=3, class_="dot"))
    return drawing.chart(key, title, _description(looks, margin, limit), parts)


def _is_known(it: Closing) -> bool:
    return it.low is not None and it.high is not None


def _scale(looks: Sequence[Closing], margin: float | None) -> Scale:
    """Around no difference and the newest look, and the others as far as they fit."""
    newest = looks[-1]
    ends = [0.0, newest.value, newest.low or 0.0, newest.high or 0.0, margin or 0.0]
    most = 2 * max(map(abs, ends)) if margin is None else MOST_MARGINS * abs(margin)
    low, high = min(ends), max(ends)
    for it in looks:
        for value in (it.value, it.low, it.high):
            if value is not None:
                low = min(low, max(value, -most))
                high = max(high, min(value, most))
    return drawing.upright([low, high])


def _place(scale: Scale, value: float | None) -> float:
    return scale(min(max(value or 0.0, scale.low), scale.high))


def _lines(scale: Scale, margin: float | None) -> Iterator[Markup]:
    ends = {"x1": drawing.LEFT, "x2": drawing.RIGHT}
    y = scale(0)
    yield element("line", **ends, y1=y, y2=y, class_="baseline")
    if margin is not None:
        y = scale(margin)
        yield element("line", **ends, y1=y, y2=y, class_="limit")


def _description(looks: Sequence[Closing], margin: float | None, limit: str) -> str:
    newest = looks[-1]
    said = f"{len(looks)} looks, {looks[0].name} to {newest.name}."
    interval = "not known"
    if _is_known(newest):
        interval = f"{newest.low:.4g} to {newest.high:.4g}"
    said += f" Newest {newest.value:.4g}, interval {interval}."
    return said if margin is None else f"{said} {limit} {margin:.4g}."
