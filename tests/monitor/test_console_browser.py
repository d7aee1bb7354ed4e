"""The console's pages in headless Chromium: phone, keyboard, dark and light."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.support import browser, consoles
from tests.support.browser import Browser
from tests.support.consoles import Running

pytestmark = [
    pytest.mark.programs,
    pytest.mark.skipif(
        browser.program() is None,
        reason="no chromium on PATH: apt-get install chromium",
    ),
]
PHONE, DESK = (360, 740), (1200, 900)
PAGES = ["/", "/models/loans", "/models/prices", "/alerts", "/audit", "/models/other"]
FOCUS = """(() => {
  const it = document.activeElement, style = getComputedStyle(it);
  const place = it.getBoundingClientRect();
  return {tag: it.tagName, text: it.textContent.trim().slice(0, 40),
    name: it.getAttribute("aria-label"), outline: style.outlineStyle,
    outlineWidth: parseFloat(style.outlineWidth), left: place.left,
    right: place.right, top: place.top + scrollY, height: place.height,
    width: place.width, isInText: it.closest("p") !== null}
})()"""
COLOURS = """(() => {
  const style = getComputedStyle(document.body);
  return [style.backgroundColor, style.color]
})()"""
OVERFLOW = """(() => {
  const width = document.documentElement.clientWidth, found = [];
  for (const it of document.querySelectorAll("body *")) {
    const place = it.getBoundingClientRect();
    if (!it.closest(".scroll > *, thead, svg") && place.right > width + 0.5)
      found.push(it.tagName + "." + it.className + " " + place.right);
  }
  return [document.documentElement.scrollWidth - width, found]
})()"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with consoles.running(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def chromium(place: Running) -> Iterator[Browser]:
    with browser.browser(place.folder) as found:
        yield found


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_phone_never_scrolls_sideways(
    chromium: Browser, place: Running, path: str, dark: bool
) -> None:
    chromium.show(*PHONE, dark=dark)
    chromium.open(place.console + path)
    chromium.value("document.querySelectorAll('details').forEach(it => it.open = true)")
    assert chromium.value(OVERFLOW) == [0, []]
    # The style sheet is there, and nothing was refused by the policy.
    assert chromium.value("document.styleSheets[0].cssRules.length") > 50
    expected = ["404"] if path == "/models/other" else []
    assert [it for it in chromium.complaints() if "404" not in it or not expected] == []


def test_dark_and_light_follow_the_reader(chromium: Browser, place: Running) -> None:
    found = {}
    for dark in (False, True):
        chromium.show(*DESK, dark=dark)
        chromium.open(place.console)
        found[dark] = chromium.value(COLOURS)
    assert found[False] == ["rgb(255, 255, 255)", "rgb(27, 31, 36)"]
    assert found[True] == ["rgb(15, 20, 25)", "rgb(230, 237, 243)"]


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_the_keyboard_reaches_everything_in_order(
    chromium: Browser, place: Running, size: tuple[int, int]
) -> None:
    chromium.show(*size)
    chromium.open(f"{place.console}/models/loans")
    wanted = chromium.value(
        "[...document.querySelectorAll('a, summary, [tabindex=\"0\"]')]"
        ".filter(it => it.checkVisibility()).length"
    )
    reached = []
    for _ in range(wanted):
        chromium.tab()
        reached.append(chromium.value(FOCUS))
    assert [it["text"] for it in reached[:4]] == [
        "Skip to the content",
        "Fleet",
        "Alerts now",
        "Audit trail",
    ]
    assert len({(it["tag"], it["text"], it["top"]) for it in reached}) == wanted
    for it in reached:
        assert it["outline"] == "solid", it
        assert it["outlineWidth"] >= 3, it
        assert it["left"] >= 0, it
        # WCAG 2.2, 2.5.8: targets, but for those in a sentence.
        assert it["isInText"] or min(it["height"], it["width"]) >= 24, it
    # From top to bottom; what stands beside each other is on one line.
    tops = [it["top"] for it in reached[1:]]
    assert all(b >= a - 40 for a, b in pairwise(tops)), tops


def test_the_first_link_leads_to_the_content(chromium: Browser, place: Running) -> None:
    chromium.show(*DESK)
    chromium.open(place.console)
    chromium.tab()
    assert chromium.value("document.activeElement.getBoundingClientRect().top") >= 0
    chromium.press("Enter", 13)
    chromium.tab()
    assert chromium.value("document.activeElement.closest('main') !== null")


def tree(chromium: Browser) -> list[dict[str, Any]]:
    """What a screen reader is told: role and name of each node that it is told of."""
    nodes = chromium.call("Accessibility.getFullAXTree")["nodes"]
    return [
        {
            "role": it["role"]["value"],
            "name": it.get("name", {}).get("value", ""),
        }
        for it in nodes
        if not it["ignored"] and "role" in it
    ]


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_a_screen_reader_is_reported_of_tables_and_charts(
    chromium: Browser, place: Running, size: tuple[int, int]
) -> None:
    chromium.show(*size)
    chromium.open(f"{place.console}/models/loans")
    found = tree(chromium)
    names: dict[str, list[str]] = {}
    for it in found:
        names.setdefault(it["role"], []).append(it["name"])
    charts = [it for role in ("image", "img") for it in names.get(role, [])]
    assert any(it.startswith("accuracy by day") for it in charts)
    assert all(charts)
    assert "main" in names
    assert "Pages" in names["navigation"]
    assert any(it.startswith("Every feature") for it in names["table"])
    roles = Counter(it["role"] for it in found)
    assert roles["rowheader"] > 10
    assert roles["columnheader"] > 10
    assert roles["cell"] + roles["gridcell"] > 50
    assert {"age", "region", "debt"} <= set(names["rowheader"])


def test_tables_keep_their_roles_when_a_phone_stacks_them(
    chromium: Browser, place: Running
) -> None:
    counts = []
    for size in (DESK, PHONE):
        chromium.show(*size)
        chromium.open(f"{place.console}/alerts")
        found = Counter(it["role"] for it in tree(chromium))
        counts.append(
            {role: found[role] for role in ("table", "row", "rowheader", "cell")}
        )
    assert counts[0] == counts[1]
    assert counts[0]["rowheader"] == 3
    assert chromium.value("getComputedStyle(document.querySelector('td')).display") == (
        "block"
    )
