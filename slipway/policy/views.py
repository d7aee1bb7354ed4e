"""Verdicts as text, JSON, SARIF, and annotations of GitHub and GitLab."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from components.security.rules import RuleList
from slipway import code_hosts
from slipway.code_hosts import About, Annotation
from slipway.policy.check import Finding, Verdict

SCHEMA = 1
Write = Callable[[Sequence[Verdict], RuleList], str]


def text(verdicts: Sequence[Verdict], rules: RuleList) -> str:
    """For people: a line for each stack, then its findings by rule."""
    del rules
    return "".join(line + "\n" for verdict in verdicts for line in _lines(verdict))


def _lines(verdict: Verdict) -> Iterator[str]:
    waived = len(verdict.findings) - len(verdict.open)
    place = "production" if verdict.production else "not production"
    yield (
        f"{verdict.stack} ({place}): {_count(verdict.errors, 'error')}, "
        f"{_count(verdict.open[len(verdict.errors) :], 'warning')}, {waived} waived; "
        f"{verdict.objects} objects by {verdict.rules} rules"
    )
    by_rule: dict[str, list[Finding]] = {}
    for finding in sorted(verdict.open, key=lambda f: (f.level, f.rule.id, f.object)):
        by_rule.setdefault(finding.rule.id, []).append(finding)
    for name, found in by_rule.items():
        rule = found[0].rule
        yield f"  {found[0].level} {name}: {rule.message}"
        yield from (f"    {f.object}: {', '.join(f.wrong)}" for f in found)
        yield f"    why: {rule.why}"
        yield f"    fix: {rule.fix}"


def _count(found: Sequence[object], word: str) -> str:
    return f"{len(found)} {word}{'' if len(found) == 1 else 's'}"


def as_json(verdicts: Sequence[Verdict], rules: RuleList) -> str:
    """For programs."""
    del rules
    content = {
        "schema_version": SCHEMA,
        "stacks": [
            {
                "stack": verdict.stack,
                "production": verdict.production,
                "objects": verdict.objects,
                "rules": verdict.rules,
                "errors": len(verdict.errors),
                "findings": [_finding(finding) for finding in verdict.findings],
            }
            for verdict in verdicts
        ],
    }
    return json.dumps(content, indent=2) + "\n"


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule.id,
        "level": finding.level,
        "object": finding.object,
        "message": finding.rule.message,
        "wrong": list(finding.wrong),
        "why": finding.rule.why,
        "fix": finding.rule.fix,
        "file": finding.file,
        "line": finding.line,
        "waived": finding.waived,
    }


def sarif(verdicts: Sequence[Verdict], rules: RuleList) -> str:
    """SARIF 2.1.0."""
    about = (
        About(rule.id, rule.message, f"{rule.why} {rule.fix}", rule.severity)
        for rule in rules.rules.values()
    )
    found = code_hosts.sarif("slipway check", about, _annotations(verdicts))
    return json.dumps(found, indent=2) + "\n"


def github(verdicts: Sequence[Verdict], rules: RuleList) -> str:
    """Workflow commands of GitHub Actions."""
    del rules
    return code_hosts.github(_annotations(verdicts))


def gitlab(verdicts: Sequence[Verdict], rules: RuleList) -> str:
    """GitLab's Code Quality report."""
    del rules
    return code_hosts.gitlab(_annotations(verdicts))


def _annotations(verdicts: Iterable[Verdict]) -> Iterator[Annotation]:
    for verdict in verdicts:
        for finding in verdict.open:
            yield Annotation(
                rule=finding.rule.id,
                level=finding.level,
                text=f"{finding.object}: {finding.text}. {finding.rule.fix}",
                file=finding.file,
                line=finding.line,
                subject=f"{finding.stack} {finding.object}",
            )


FORMATS: dict[str, Write] = {
    "text": text,
    "json": as_json,
    "sarif": sarif,
    "github": github,
    "gitlab": gitlab,
}
