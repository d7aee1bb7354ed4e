"""One alert, whatever it is about, and the rule files that alerts are written to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from components.observability import holding
from components.observability.holding import Rule
from components.yaml_text import written


@dataclass(frozen=True)
class Alert:
    """When it fires, how bad it is, and what a person reads.

    Each name has its runbook in docs/runbooks.
    """

    name: str
    expression: str
    severity: str
    summary: str
    description: str
    for_seconds: int = 0
    """Time for which it must hold continuously; components/observability/holding.py."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Beside the severity: what the alert is about."""

    def rule(self, group: str, runbooks: str) -> Rule:
        """The alert as Prometheus reads it, in this rule group."""
        return {
            "alert": self.name,
            "expr": holding.held(self.expression, self.for_seconds, group),
            "labels": {**self.labels, "severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{runbooks}/{self.name}.md",
            },
        }


def rule_file(
    group: str,
    alerts: Iterable[Alert],
    runbooks: str,
    records: Iterable[Mapping[str, object]] = (),
) -> str:
    """One group as a Prometheus rule file (YAML): `records` first, then the alerts.

    `runbooks`: where the runbooks can be read; alerts link to <runbooks>/<alert>.md.
    """
    rules = [
        holding.watched(group),
        *map(dict, records),
        *(alert.rule(group, runbooks) for alert in alerts),
    ]
    return written({"groups": [{"name": group, "rules": rules}]})
