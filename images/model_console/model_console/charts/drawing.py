"""Elements of SVG, scales and axes. Sizes are in the chart's own units, near pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 352, 12, 166
"""The area of the data; outside of it stand the axes' texts."""


def element(name: str, content: str = "", /, **attributes: str | float) -> Markup:
    """Return an element; `_` in a name is `-`, and `class_` is `class`.

    Attributes are escaped, and so is content that is not Markup.
    """
    given = (
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _short(value))
        for key, value in attributes.items()
    )
    head = Markup("<{}{}").format(name, Markup("").join(given))
    if not content:
        return head + Markup("/>")
    return Markup("{}>{}</{}>").format(head, content, name)


def _short(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}".rstrip("0").rstrip(".")


def chart(key: str, title: str, description: str, parts: Sequence[Markup]) -> Markup:
    """Return the whole picture; `key` is unique on the page."""
    names = (
        element("title", title, id=f"{key}-title"),
        element("desc", description, id=f"{key}-desc"),
    )
    return element(
        "svg",
        Markup("").join([*names, *parts]),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        class_="chart",
        xmlns="http://www.w3.org/2000/svg",
        aria_labelledby=f"{key}-title {key}-desc",
    )


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` as places from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def upright(values: Sequence[float], *, zero: bool = False) -> Scale:
    """Return a vertical scale with some room around the values; from 0 if `zero`."""
    low, high = (0.0 if zero else min(values)), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return Scale(low if zero else low - room, high + room, BOTTOM, TOP)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round values within the range, at most `most` of them."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(it * power for it in (1, 2, 2.5, 5, 10) if it * power >= rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def vertical_axis(scale: Scale) -> list[Markup]:
    found = []
    for value in ticks(scale.low, scale.high):
        y = scale(value)
        found.append(element("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="grid"))
        found.append(
            element("text", f"{value:.6g}", x=LEFT - 6, y=y + 4, class_="tick end")
        )
    return found


def days_axis(days: Sequence[str], places: Sequence[float]) -> list[Markup]:
    return ends_axis(days[0], days[-1], places, "days with predictions")


def ends_axis(
    first: str, last: str, places: Sequence[float], words: str
) -> list[Markup]:
    """Return the first and the last name, and what is measured along the axis."""
    found = [
        element("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="axis"),
        element("text", first, x=LEFT, y=BOTTOM + 16, class_="tick start"),
    ]
    if len(places) > 1:
        found.append(element("text", last, x=RIGHT, y=BOTTOM + 16, class_="tick end"))
    found += [
        element("line", x1=x, x2=x, y1=BOTTOM, y2=BOTTOM + 3, class_="axis")
        for x in (places[0], places[-1])
    ]
    middle = (LEFT + RIGHT) / 2
    found.append(element("text", words, x=middle, y=HEIGHT - 4, class_="tick"))
    return found


def across(n: int) -> list[float]:
    """Return `n` places from left to right, each in the middle of its share."""
    width = (RIGHT - LEFT) / n
    return [LEFT + width * (number + 0.5) for number in range(n)]


def path(places: Sequence[tuple[float, float]], *, closed: bool = False) -> str:
    """Return the data of a path through all places."""
    text = " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return f"M{text}{' Z' if closed else ''}"


def shorter(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
