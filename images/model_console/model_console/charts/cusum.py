"""The CUSUM of the error rate by day, and the limit that gives an alarm."""

from __future__ import annotations

from markupsafe import Markup

from model_console.charts import drawing
from model_console.charts.drawing import element
from model_console.figures import Concept


def cusum(key: str, title: str, concept: Concept) -> Markup:
    """Return the chart; the concept must have points."""
    points = concept.points
    values = [it.statistic for it in points]
    scale = drawing.upright([*values, concept.limit], zero=True)
    places = drawing.across(len(points))
    line = [(x, scale(value)) for x, value in zip(places, values, strict=True)]
    y = scale(concept.limit)
    ends = {"x1": drawing.LEFT, "x2": drawing.RIGHT}
    parts = [
        *drawing.vertical_axis(scale),
        *drawing.days_axis([it.day for it in points], places),
        element("line", **ends, y1=y, y2=y, class_="limit"),
        element("path", d=drawing.path(line), class_="line"),
    ]
    for (x, top), value in zip(line, values, strict=True):
        if value > concept.limit:
            corners = [(x, top - 6), (x + 5, top + 3), (x - 5, top + 3)]
            shape = drawing.path(corners, closed=True)
            parts.append(element("path", d=shape, class_="alarm"))
        elif len(points) < 60:
            parts.append(element("circle", cx=x, cy=top, r=3, class_="dot"))
    alarms = sum(value > concept.limit for value in values)
    description = (
        f"{len(points)} batches from {points[0].day} to {points[-1].day}. "
        f"Newest {values[-1]:.3g}, limit {concept.limit:g}, alarms: {alarms}."
    )
    return drawing.chart(key, title, description, parts)
