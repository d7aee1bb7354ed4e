"""The page of reports on this repository's history, and what is picked for it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection
from dataclasses import replace

import pytest

from docs import change_reports
from docs.change_reports import Compared
from slipway.preview.report import Item, Report, StackReport
from toolchain import paths

PAGE = (paths.ROOT / change_reports.PAGE).read_text()
SECTIONS = re.findall(r"(?m)^## (.+)\n\n`slipway compare (\S+) (\S+)`$", PAGE)
EMPTY = Report(*("a", "b", "base", "placeholders", "nothing", ""), (), (), (), (), ())


def compared(change: str, shows: Collection[str], text: str = "") -> Compared:
    return Compared(change, text, frozenset(shows))


def test_the_page_has_reports_on_different_commits() -> None:
    pairs = {(base, head) for _, base, head in SECTIONS}
    assert len(pairs) == len(SECTIONS) == change_reports.COUNT
    assert PAGE.count("\n> ### ") == len(pairs), "each has its verdict"
    assert PAGE.startswith(change_reports.page([]).rstrip("\n"))


@pytest.mark.parametrize(("title", "base", "head"), SECTIONS)
def test_each_change_is_one_of_this_repository(
    title: str, base: str, head: str
) -> None:
    change = head if base == f"{head}^" else f"{base}..{head}"
    try:
        page = change_reports.page([compared(change, ())])
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this checkout has no such history")
    assert f"## {title}\n\n`slipway compare {base} {head}`\n" in page


def test_those_are_picked_that_show_the_most_together() -> None:
    found = [
        compared("few", {"a"}),
        compared("long", {"a", "b"}, "a long report"),
        compared("short", {"a", "b"}, "short"),
        compared("other", {"c"}),
        compared("calm", {"nothing"}),
        compared("as calm", {"nothing"}),
    ]
    picked = [one.change for one in change_reports.picked(found, 3)]
    assert picked == ["short", "other", "calm"]
    every = {one.change for one in change_reports.picked(found, 10)}
    assert len(every & {"calm", "as calm"}) == 1
    assert every >= {"few", "long", "short", "other"}


def test_a_report_shows_its_actions_and_sections() -> None:
    assert change_reports.shows(EMPTY) == {"nothing"}
    item = Item("models.lab", "t", "n", "changed", protection="removed")
    found = replace(
        EMPTY, level="danger", stacks=(StackReport("models.lab", "both", (item,)),)
    )
    assert change_reports.shows(found) == {"changed t", "protection removed"}


def test_a_section_quotes_the_report_and_keeps_its_blank_lines() -> None:
    head = change_reports.git("log", "-1", "--format=%h") if SECTIONS else ""
    text = change_reports.page([compared(head, (), "### Verdict\n\n- one\n")])
    assert "\n> ### Verdict\n>\n> - one\n" in text
