"""The README: short, its links lead somewhere, and it shows a real report."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from docs import report_picture
from toolchain import paths

TEXT = (paths.ROOT / "README.md").read_text()
LINKS = sorted(
    {link for link in re.findall(r"\]\(([^)\s]+)\)", TEXT) if "://" not in link}
)


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) <= 150


@pytest.mark.parametrize("link", LINKS)
def test_what_it_links_to_is_there(link: str) -> None:
    assert (paths.ROOT / link.partition("#")[0]).exists()


def test_it_shows_a_report_of_today() -> None:
    """Of the golden file, whose verdict is in the picture."""
    assert f"({report_picture.PICTURE})" in TEXT
    assert "`slipway compare main`" in TEXT
    drawn = (paths.ROOT / report_picture.PICTURE).read_text()
    assert drawn == report_picture.picture(), "make docs"
    shown = "".join("".join(ET.fromstring(drawn).itertext()).split())
    golden = (paths.ROOT / report_picture.REPORT).read_text()
    verdict = golden.splitlines()[0].removeprefix("### ")
    # A picture has no code spans, and a text of its own where one ends.
    assert "".join(verdict.replace("`", "").split()) in shown


def test_the_picture_loads_nothing() -> None:
    """The host of a repository shows none of it otherwise."""
    drawn = report_picture.picture().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "http" not in drawn
    assert "@font-face" not in drawn
