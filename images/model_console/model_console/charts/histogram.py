"""Shares of rows by bin, of the reference and of a day, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from model_console.charts import drawing
from model_console.charts.drawing import Scale, element
from model_console.figures import Histogram

MOST_BINS = 40
"""More than these would be narrower than 4 pixels: the smallest are one bar."""
MOST_NAMES = 6
NAME_LETTERS = 9


@dataclass(frozen=True)
class Bin:
    """A bin by its name, with the rows of the reference and of the day."""

    name: str
    reference: int
    current: int


def bins(histogram: Histogram) -> list[Bin]:
    """Return all bins, the last ones those outside of the reference's, if any."""
    names = histogram.categories or _ranges(histogram.edges)
    rows = zip(names, histogram.reference, histogram.current, strict=False)
    outside = (
        Bin("below", 0, histogram.below),
        Bin("above", 0, histogram.above),
        Bin("unseen", 0, histogram.unseen),
        Bin("missing", histogram.reference_missing, histogram.missing),
    )
    found = [Bin(*it) for it in rows]
    return found + [it for it in outside if it.reference or it.current]


def shares(found: Sequence[Bin]) -> list[tuple[float, float]]:
    """Return each bin's share of the reference's rows and of the day's."""
    of_reference = sum(it.reference for it in found) or 1
    of_day = sum(it.current for it in found) or 1
    return [(it.reference / of_reference, it.current / of_day) for it in found]


def histogram(key: str, title: str, given: Histogram) -> Markup:
    """Return the chart; the histogram must have bins."""
    everything = bins(given)
    drawn = _drawn(everything)
    parts = shares(drawn)
    scale = drawing.upright([0.0, *(it for pair in parts for it in pair)], zero=True)
    width = (drawing.RIGHT - drawing.LEFT) / len(drawn)
    elements = [*drawing.vertical_axis(scale)]
    for number, pair in enumerate(parts):
        left = drawing.LEFT + width * number + width * 0.08
        elements += _bars(left, width * 0.42, pair, scale)
    ends = {"x1": drawing.LEFT, "x2": drawing.RIGHT}
    bottom = {"y1": drawing.BOTTOM, "y2": drawing.BOTTOM}
    elements.append(element("line", **ends, **bottom, class_="axis"))
    elements += _names(drawn, width)
    words = "share of rows by bin"
    middle = (drawing.LEFT + drawing.RIGHT) / 2
    place = {"x": middle, "y": drawing.HEIGHT - 4}
    elements.append(element("text", words, **place, class_="tick"))
    return drawing.chart(key, title, _description(everything), elements)


def _ranges(edges: Sequence[float]) -> list[str]:
    return [f"{low:.6g} to {high:.6g}" for low, high in pairwise(edges)]


def _drawn(found: list[Bin]) -> list[Bin]:
    if len(found) <= MOST_BINS:
        return found
    by_size = sorted(found, key=lambda it: -(it.reference + it.current))
    large = {id(it) for it in by_size[: MOST_BINS - 1]}
    rest = [it for it in found if id(it) not in large]
    others = Bin(
        "others", sum(it.reference for it in rest), sum(it.current for it in rest)
    )
    return [*(it for it in found if id(it) in large), others]


def _bars(
    left: float, width: float, pair: tuple[float, float], scale: Scale
) -> Iterator[Markup]:
    for number, (share, kind) in enumerate(
        zip(pair, ("bar reference", "bar current"), strict=True)
    ):
        top = scale(share)
        place = {"x": left + number * width, "width": width}
        yield element("rect", **place, y=top, height=drawing.BOTTOM - top, class_=kind)


def _names(drawn: Sequence[Bin], width: float) -> Iterator[Markup]:
    """Yield the names of some bins, below their bars; the table has all."""
    step = -(-len(drawn) // MOST_NAMES)
    for number in range(0, len(drawn), step):
        x = drawing.LEFT + width * (number + 0.5)
        name = drawn[number].name.partition(" to ")[0]
        name = drawing.shorter(name, NAME_LETTERS)
        yield element("text", name, x=x, y=drawing.BOTTOM + 16, class_="tick")


def _description(everything: Sequence[Bin]) -> str:
    pairs = zip(everything, shares(everything), strict=True)
    largest = sorted(pairs, key=lambda it: -abs(it[1][1] - it[1][0]))[:3]
    said = [
        f"{it.name}: {current:.1%}, in the reference {reference:.1%}."
        for it, (reference, current) in largest
    ]
    rows = sum(it.current for it in everything)
    return f"{rows} rows in {len(everything)} bins. Largest differences: " + " ".join(
        said
    )
