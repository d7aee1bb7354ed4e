"""The report in the forms that code hosts show beside a change: what breaks rules.

SARIF and GitLab's report have all that is open in head, since the hosts compare these
with the reports of the base branch. Annotations have what is new alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from slipway import code_hosts
from slipway.code_hosts import About, Annotation
from slipway.preview.report import Report, RuleResult


def sarif(report: Report) -> str:
    """SARIF 2.1.0."""
    found = _open(report)
    about = {r.rule: About(r.rule, r.message, r.fix, r.level) for r in found}
    log = code_hosts.sarif("slipway compare", about.values(), _annotations(found))
    return json.dumps(log, indent=2) + "\n"


def gitlab(report: Report) -> str:
    """GitLab's Code Quality report."""
    return code_hosts.gitlab(_annotations(_open(report)))


def github(report: Report) -> str:
    """Workflow commands of GitHub Actions."""
    return code_hosts.github(_annotations(report.rules_of("new")))


def _open(report: Report) -> tuple[RuleResult, ...]:
    return (*report.rules_of("new"), *report.rules_of("there"))


def _annotations(found: Iterable[RuleResult]) -> Iterator[Annotation]:
    for one in found:
        wrong = ", ".join(one.wrong)
        yield Annotation(
            rule=one.rule,
            level=one.level,
            text=f"{one.object}: {one.message}: {wrong}. {one.fix}",
            file=one.file,
            line=one.line,
            subject=f"{one.stack} {one.object}",
        )


FILES: dict[str, Callable[[Report], str]] = {
    "compare.sarif": sarif,
    "compare.gitlab.json": gitlab,
    "compare.github.txt": github,
}
"""Files that `--out` writes beside JSON and Markdown."""
