"""Findings in the forms that code hosts show beside a change.

- SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html), which
  GitHub's code scanning and editors read;
- GitHub's workflow commands, which need no rights, so they work for forks too;
- GitLab's Code Quality report
  (https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format).

Any command that has findings with a place can use it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["error", "warning"]
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
GITHUB_LIMIT = 10
"""Annotations of each level that GitHub shows for a step; the rest is in the log.
https://docs.github.com/en/actions/reference/limits"""
_GITLAB_SEVERITY = {"error": "major", "warning": "minor"}


@dataclass(frozen=True)
class About:
    """Properties of a rule, the same for all its findings."""

    id: str
    title: str
    help: str
    level: Level


@dataclass(frozen=True)
class Annotation:
    """One finding and its place."""

    rule: str
    level: Level
    text: str
    file: str
    """Path relative to the checkout's root."""
    line: int
    subject: str
    """Subject of the finding; with the rule, it identifies the finding."""

    @property
    def fingerprint(self) -> str:
        """Return the same text in each run, whatever the finding's line."""
        key = f"{self.rule}\n{self.subject}\n{self.file}"
        return hashlib.sha256(key.encode()).hexdigest()


def sarif(
    tool: str, rules: Iterable[About], found: Iterable[Annotation]
) -> dict[str, Any]:
    """A SARIF log with one run."""
    listed = list(rules)
    places = {rule.id: number for number, rule in enumerate(listed)}
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": tool, "rules": [*map(_about, listed)]}},
                "results": [_result(one, places) for one in found],
            }
        ],
    }


def _about(rule: About) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "help": {"text": rule.help},
        "defaultConfiguration": {"level": rule.level},
    }


def _result(one: Annotation, places: Mapping[str, int]) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": one.file},
        "region": {"startLine": one.line},
    }
    return {
        "ruleId": one.rule,
        "ruleIndex": places[one.rule],
        "level": one.level,
        "message": {"text": one.text},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"slipway/v1": one.fingerprint},
    }


def github(found: Iterable[Annotation]) -> str:
    """A workflow command for each finding, errors first."""
    ordered = sorted(found, key=lambda one: (one.level, one.file, one.line))
    return "".join(map(_command, ordered))


def _command(one: Annotation) -> str:
    file, title = _escaped(one.file, more=True), _escaped(one.rule, more=True)
    place = f"file={file},line={one.line},title={title}"
    return f"::{one.level} {place}::{_escaped(one.text)}\n"


def _escaped(text: str, *, more: bool = False) -> str:
    """As the runner's own library writes values: they must not end the command."""
    pairs = [("%", "%25"), ("\r", "%0D"), ("\n", "%0A")]
    for raw, coded in pairs + ([(":", "%3A"), (",", "%2C")] if more else []):
        text = text.replace(raw, coded)
    return text


def gitlab(found: Iterable[Annotation]) -> str:
    """A Code Quality report as JSON text."""
    issues = [
        {
            "description": one.text,
            "check_name": one.rule,
            "fingerprint": one.fingerprint,
            "severity": _GITLAB_SEVERITY[one.level],
            "location": {"path": one.file, "lines": {"begin": one.line}},
        }
        for one in found
    ]
    return json.dumps(issues, indent=2) + "\n"
