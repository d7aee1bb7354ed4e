"""The report on drift in the forms that code hosts show: a finding for each object."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from slipway import code_hosts
from slipway.code_hosts import About, Annotation
from slipway.drift.report import DriftReport, StackDrift
from slipway.policy.objects import Judged
from slipway.policy.places import Lines
from slipway.preview.report import Item

RULES = {
    "changed": About(
        "drift-changed",
        "An object differs from the state",
        "Declare it so, or put it right with `slipway up --refresh`.",
        "warning",
    ),
    "deleted": About(
        "drift-deleted",
        "An object is gone",
        "Remove it from the program, or make it again with `slipway up --refresh`.",
        "error",
    ),
}


def sarif(report: DriftReport) -> str:
    """Return SARIF 2.1.0."""
    log = code_hosts.sarif("slipway drift", RULES.values(), _annotations(report))
    return json.dumps(log, indent=2) + "\n"


def gitlab(report: DriftReport) -> str:
    """Return GitLab's Code Quality report."""
    return code_hosts.gitlab(_annotations(report))


def github(report: DriftReport) -> str:
    """Return workflow commands of GitHub Actions."""
    return code_hosts.github(_annotations(report))


def _annotations(report: DriftReport) -> Iterator[Annotation]:
    for stack in report.stacks:
        lines = Lines(stack.stack)
        yield from (_annotation(stack, item, lines) for item in stack.items)


def _annotation(stack: StackDrift, item: Item, lines: Lines) -> Annotation:
    about = RULES[item.action]
    kind = item.type.rpartition(":")[2]
    subject = f"{kind}/{item.name}"
    paths = ", ".join(change.path for change in item.changes)
    return Annotation(
        rule=about.id,
        level=about.level,
        text=f"{subject}: {about.title}{f': {paths}' if paths else ''}. {about.help}",
        file=lines.file,
        line=lines.of(Judged(kind, subject, {})),
        subject=f"{stack.stack} {subject}",
    )


FILES: dict[str, Callable[[DriftReport], str]] = {
    "drift.sarif": sarif,
    "drift.gitlab.json": gitlab,
    "drift.github.txt": github,
}
"""Files that `--out` writes beside JSON and Markdown."""
