"""The page of refused configurations, from the corpus that the tests run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from toolchain import paths

PAGE = Path("docs/reference/refused.md")
CORPUS = paths.ROOT / "tests" / "rejects"
HEAD = """\
# Refused configurations

Generated from `tests/rejects` by `make docs`; a test compares. Each row is a case that
the tests run: the configuration is refused before the first resource, with all its
problems together. Reason and fix are the parts of the message that the tests hold; the
message itself also shows the value.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for file in sorted(CORPUS.glob("*.yaml")):
        layer, _, topic = file.stem.partition("-")
        parts.append(f"## Layer {layer}{': ' if topic else ''}{topic}\n")
        parts.append("| configuration | setting | reason | fix |\n|---|---|---|---|")
        cases = yaml.safe_load(file.read_text())["cases"]
        parts += [row for case in cases for row in _rows(case)]
        parts.append("")
    return "\n".join(parts)


def _rows(case: dict[str, Any]) -> Iterator[str]:
    name = case["name"]
    for problem in case["problems"]:
        reason, fix = _cell(problem["reason"]), _cell(problem["fix"])
        yield f"| {_cell(name)} | `{problem['path']}` | {reason} | {fix} |"
        name = ""


def _cell(text: object) -> str:
    plain = " ".join(str(text).split())
    for mark in ("|", "<", "*"):
        plain = plain.replace(mark, f"\\{mark}")
    return plain
