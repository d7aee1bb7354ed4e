"""Charts as inline SVG: made on the server, coloured by the style sheet.

Each has a title and a description for screen readers; the pages show the same numbers
as a table beside it.
"""

from model_console.charts.closing import Closing, closing
from model_console.charts.cusum import cusum
from model_console.charts.histogram import histogram
from model_console.charts.over_time import Baseline, Point, over_time

__all__ = [
    "Baseline",
    "Closing",
    "Point",
    "closing",
    "cusum",
    "histogram",
    "over_time",
]
