"""The console's parts by themselves: settings, forms, charts, colours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise, product
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from model_console import charts, formats, settings, shape
from model_console.charts import Baseline, Point, drawing
from model_console.charts.histogram import MOST_BINS
from model_console.figures import Concept, ConceptPoint, Figure, Histogram, Window
from model_console.settings import PREFIX, VARIABLES, SettingsError
from model_console.shape import FormError

from tests.support.web_pages import SVG, words
from toolchain import paths

FOLDER = paths.ROOT / "images" / "model_console"
PAGE = paths.ROOT / "docs" / "how-to" / "model-console.md"
MONITOR = {f"{PREFIX}MONITOR_URL": "http://model-monitor:9300"}


def test_the_least_that_is_set_is_the_monitors_address() -> None:
    found = settings.read({**MONITOR, "PATH": "/bin"})
    assert found.monitor_url == "http://model-monitor:9300"
    assert (found.alertmanager_url, found.port) == ("", 9310)
    assert (found.metrics_port, found.answer_mib) == (9311, 8)
    assert found.timeout_seconds == 3


def test_all_problems_are_reported_together() -> None:
    wrong = {
        "MONITOR_URL": "model-monitor:9300",
        "ALERTMANAGER_URL": "http://user:secret@alertmanager:9093",
        "TIMEOUT_SECONDS": "soon",
        "ANSWER_MIB": "0",
        "HOST": "",
        "PORT": "70000",
        "PROT": "1",
    }
    with pytest.raises(SettingsError) as caught:
        settings.read({PREFIX + name: value for name, value in wrong.items()})
    fix = "give scheme, host and port, http://model-monitor:9300"
    assert caught.value.problems == [
        f"{PREFIX}PROT: no such variable; remove it, or correct its name",
        f"{PREFIX}MONITOR_URL: is not an address of a web server; {fix}",
        f"{PREFIX}ALERTMANAGER_URL: has a user, a query or a fragment; {fix}",
        f"{PREFIX}TIMEOUT_SECONDS='soon': is not a number; unset it or give one",
        f"{PREFIX}ANSWER_MIB='0': is out of range; give a number between 1 and 1024",
        f"{PREFIX}PORT='70000': is out of range; give a number between 0 and 65535",
        f"{PREFIX}HOST='': is empty; unset it to listen everywhere",
    ]


@pytest.mark.parametrize(
    "url", ["", "ftp://a", "http://", "http://a:port", "http://a:0", "//a", "http://[a"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="MONITOR_URL"):
        settings.read({f"{PREFIX}MONITOR_URL": url})


def test_wrong_settings_end_it_with_2() -> None:
    environment = os.environ | {"PYTHONPATH": str(FOLDER), f"{PREFIX}PORT": "x"}
    done = subprocess.run(
        [sys.executable, "-m", "model_console"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert [line[:7] for line in done.stderr.splitlines()] == ["error: "] * 2


def test_the_page_has_every_variable() -> None:
    row = r"(?m)^\| `MODEL_CONSOLE_(\w+)` \| ([^|]*) \|"
    rows = dict(re.findall(row, PAGE.read_text()))
    for it in VARIABLES:
        default = f"`{it.default}`" if it.default != "" else "none"
        assert rows.pop(it.name) == default, it.name
    assert rows == {}


WINDOW: dict[str, Any] = {
    "start": "2026-10-01",
    "end": "2026-10-02",
    "answered": 1,
    "refused": 0,
    "labelled": 1,
    "coverage": None,
    "metrics": {"f1": {"value": 1, "low": 0.5, "high": 1}, "auc": None},
    "judgements": [],
    "added_later": [1],
}


def test_answers_become_typed_values() -> None:
    found = shape.read(Window, WINDOW)
    assert found.metrics == {"f1": Figure(1.0, 0.5, 1.0), "auc": None}
    assert found.judgements == ()
    assert shape.read(str, "a\x00b\ud800c\nd") == "a\ufffdb\ufffdc\nd"
    assert shape.read(float, 1e-300) == 0


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"answered": "1"}, "answer.answered is not of type int"),
        ({"answered": True}, "answer.answered is not of type int"),
        ({"answered": 2**60}, "answer.answered is too large a number"),
        ({"coverage": float("nan")}, "answer.coverage is too large a number"),
        ({"metrics": {"f1": {"value": 1e200}}}, "answer.metrics.f1.value is too large"),
        ({"metrics": {"f1": {}}}, "answer.metrics.f1.value is missing"),
        ({"judgements": [1]}, r"answer.judgements\[0\] is not of type dict"),
    ],
)
def test_another_form_is_reported_with_its_place(
    change: dict[str, Any], place: str
) -> None:
    with pytest.raises(FormError, match=place):
        shape.read(Window, WINDOW | change)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (0.71, 0.83), (-5, 5), (1e-9, 2e-9), (0, 1e99), (3, 3.001)],
)
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    found = drawing.ticks(low, high)
    assert 2 <= len(found) <= 6
    slack = (high - low) * 1e-6
    assert all(low - slack <= it <= high + slack for it in found)
    steps = [b - a for a, b in pairwise(found)]
    assert steps == pytest.approx([steps[0]] * len(steps))
    assert f"{steps[0]:.2e}"[0] in "125"


def parsed(markup: str) -> ET.Element:
    return ET.fromstring(markup)


def kinds(chart: ET.Element) -> list[str]:
    return [it.get("class", "") for it in chart.iter()]


def test_a_line_is_broken_where_days_are_missing() -> None:
    days = ["2026-10-01", "2026-10-02", "2026-10-05", "2026-10-07", "2026-10-08"]
    points = [Point(day, 0.5, 0.4, 0.6) for day in days]
    chart = parsed(charts.over_time("k", "t", points))
    assert kinds(chart).count("line") == 2
    assert kinds(chart).count("dot") == 5
    assert "5 days from 2026-10-01 to 2026-10-08." in words(chart)


def test_one_day_and_a_thousand_can_be_drawn() -> None:
    one = parsed(charts.over_time("k", "t", [Point("2026-10-01", 0.5)]))
    assert kinds(one).count("dot") == 1
    many = [Point("2026-10-01", number / 1000, 0, 1) for number in range(1000)]
    chart = parsed(charts.over_time("k", "t", many, baseline=Baseline(0.5, 0.4)))
    assert "dot" not in kinds(chart)
    assert {"baseline", "limit"} <= set(kinds(chart))


def test_bars_are_as_high_as_their_shares() -> None:
    given = Histogram((), ("a", "b"), (30, 10), (10, 20), 0, 10)
    chart = parsed(charts.histogram("k", "t", given))
    bars = list(chart.iter(f"{SVG}rect"))
    heights = [float(it.get("height", "")) for it in bars]
    shares = [0.75, 0.25, 0.25, 0.5, 0, 0.25]
    unit = heights[0] / 0.75
    assert heights == pytest.approx([unit * it for it in shares], abs=0.02)
    for bar, height in zip(bars, heights, strict=True):
        foot = float(bar.get("y", "")) + height
        assert foot == pytest.approx(drawing.BOTTOM, abs=0.02)
    lefts = [float(it.get("x", "")) for it in bars]
    assert lefts == sorted(lefts)
    assert "missing: 25.0%, in the reference 0.0%." in words(chart)


def test_many_bins_are_drawn_with_the_smallest_together() -> None:
    names = tuple(f"c{number}" for number in range(200))
    given = Histogram((), names, tuple(range(200)), tuple(range(200)))
    chart = parsed(charts.histogram("k", "t", given))
    assert len(list(chart.iter(f"{SVG}rect"))) == 2 * MOST_BINS
    assert "in 200 bins" in words(chart)


def test_the_cusum_marks_each_alarm() -> None:
    values = [1.0, 6.0, 2.0, 5.5]
    points = tuple(ConceptPoint(f"2026-10-0{n + 1}", it) for n, it in enumerate(values))
    concept = Concept(0.1, 5, 0.02, 5.5, ("a", "b"), 0.2, detected=True, points=points)
    chart = parsed(charts.cusum("k", "t", concept))
    assert kinds(chart).count("alarm") == 2
    assert kinds(chart).count("dot") == 2
    assert "Newest 5.5, limit 5, alarms: 2." in words(chart)


def test_texts_in_a_chart_are_escaped() -> None:
    chart = charts.over_time('k"<', "<script>&\"'", [Point("<b>", 0.5)])
    assert "<script>" not in chart
    assert "<b>" not in chart
    assert words(parsed(chart)).startswith("<script>&\"'")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (formats.figure(Figure(0.82816, 0.8254, 0.8310)), "0.8282 (0.8254 to 0.8310)"),
        (formats.figure(Figure(123456.7)), "1.235e+05"),
        (formats.figure(None), "-"),
        (formats.percent(0.12345), "12.3%"),
        (formats.p_value(0.00001), "< 0.0001"),
        (formats.moment("2026-11-29T09:30:00.5+01:00"), "2026-11-29 08:30 UTC"),
        (formats.moment("0001-01-01T00:00:00+23:59"), "0001-01-01T00:00:00+23:59"),
        (formats.moment("soon"), "soon"),
        (formats.details({"b": 1, "a": "ü\x00"}), '{"a": "ü\\u0000", "b": 1}'),
        (formats.details("x" * 3000), f'"{"x" * 1999}… (3,002 characters)'),
    ],
)
def test_values_as_text(found: str, expected: str) -> None:
    assert found == expected


def palettes() -> dict[str, dict[str, str]]:
    """The colours of the style sheet by scheme."""
    text = (FOLDER / "model_console" / "static" / "console.css").read_text()
    light, dark = re.findall(r":root \{([^}]*)\}", text)[:2]
    found = {
        "light": dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light)),
        "dark": dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark)),
    }
    assert found["light"].keys() == found["dark"].keys()
    return found


def luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(left: str, right: str) -> float:
    high, low = sorted((luminance(left), luminance(right)), reverse=True)
    return (high + 0.05) / (low + 0.05)


TEXTS = [
    *product(("text", "muted", "accent"), ("ground", "raised")),
    *((kind, f"{kind}-ground") for kind in ("bad", "warn", "ok", "none")),
]
MARKS = [(mark, "ground") for mark in ("accent", "edge", "reference", "bad", "muted")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_marks_have_enough_contrast(scheme: str) -> None:
    colours = palettes()[scheme]
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for text, ground in TEXTS:
        assert contrast(colours[text], colours[ground]) >= 4.5, (scheme, text, ground)
    for mark, ground in MARKS:
        assert contrast(colours[mark], colours[ground]) >= 3, (scheme, mark)


def test_no_colour_stands_beside_the_palettes() -> None:
    text = (FOLDER / "model_console" / "static" / "console.css").read_text()
    rules = re.sub(r":root \{[^}]*\}", "", text)
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b|rgb|hsl", rules) == []
    used = set(re.findall(r"var\(--([\w-]+)\)", rules))
    assert used == set(palettes()["light"])
