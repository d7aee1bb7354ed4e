"""The page of refused configurations, from the corpus that the tests run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.settings import Problem
from docs import refused_cases
from docs.refused_cases import CONSEQUENCES, Case

PAGE = Path("docs/reference/refused.md")
_LOCK = re.compile(r"\S*/images\.lock")
"""Path of the lock file in the cache of the user who runs this."""
HEAD = """\
# Refused configurations

Generated from `tests/rejects` by `make docs`; the tests of the corpus compare. Each row
is a configuration that is refused before the first resource; all its problems are
reported together. A message has the path and value of the setting, then this text.
"""


def page() -> str:
    """The page as Markdown; each case is run to get its message."""
    parts = [HEAD]
    for file in refused_cases.files():
        topic = file.stem.partition("-")[2]
        parts.append(
            f"## Layer {refused_cases.layer(file)}{': ' if topic else ''}{topic}\n"
        )
        parts.append(
            "| setting | configuration | consequence | message |\n|---|---|---|---|"
        )
        for case in refused_cases.cases(file):
            parts += rows(case, case.found())
        parts.append("")
    return "\n".join(parts)


def rows(case: Case, found: Sequence[Problem]) -> Iterator[str]:
    """The rows of one case, the problems in the order of the corpus."""
    name, would = case.name, CONSEQUENCES[case.would]
    for wanted in case.problems:
        problem = next(it for it in found if matches(it, wanted))
        said = f"{problem.reason}; {problem.fix}"
        yield f"| `{problem.path}` | {_cell(name)} | {would} | {_cell(said)} |"
        name, would = "", ""


def matches(problem: Problem, wanted: object) -> bool:
    """Whether a problem is one that a case must give."""
    assert isinstance(wanted, dict)
    return (
        problem.path == wanted["path"]
        and wanted["reason"] in problem.reason
        and wanted["fix"] in problem.fix
    )


def _cell(text: str) -> str:
    """As a table takes it, the same on every machine."""
    plain = _LOCK.sub("images.lock", " ".join(text.split()))
    for mark in ("|", "<", "*"):
        plain = plain.replace(mark, f"\\{mark}")
    return plain
