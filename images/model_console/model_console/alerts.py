"""Alerts from Alertmanager's API (`/api/v2/alerts`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True)
class Status:
    """State of the notification: "active", "suppressed" or "unprocessed"."""

    state: str


@dataclass(frozen=True)
class Alert:
    """One alert that is firing."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    startsAt: str  # noqa: N815, the API's
    status: Status

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "alert without a name")

    @property
    def severity(self) -> str:
        return self.labels.get("severity", "none")

    @property
    def model(self) -> str:
        return self.labels.get("model", "")

    @property
    def is_silenced(self) -> bool:
        return self.status.state == "suppressed"

    @property
    def runbook(self) -> str:
        """Return the runbook: an address or, without a web server, a path."""
        return self.annotations.get("runbook_url", "")

    @property
    def runbook_is_link(self) -> bool:
        try:
            return urlsplit(self.runbook).scheme in {"http", "https"}
        except ValueError:
            return False


@dataclass(frozen=True)
class AlertsAnswer:
    """All alerts, the worst first."""

    alerts: tuple[Alert, ...]

    def of(self, model: str) -> tuple[Alert, ...]:
        return tuple(it for it in self.alerts if it.model == model)


def in_order(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """Return the alerts by severity, those that began first before others."""

    def place(alert: Alert) -> tuple[bool, int, str, str]:
        known = alert.severity in SEVERITIES
        severity = SEVERITIES.index(alert.severity) if known else len(SEVERITIES)
        return alert.is_silenced, severity, alert.startsAt, alert.name

    return tuple(sorted(alerts, key=place))
