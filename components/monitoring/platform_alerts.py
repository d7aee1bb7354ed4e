"""The platform's own alerts, as data; each has a runbook in docs/runbooks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from components import naming
from components.monitoring.settings import AlertThresholds

WATCHDOG = "Watchdog"
LISTENER = 'envoy_http_conn_manager_prefix=~"https?-.*"'
"""Listeners of Gateways; Envoy's own for metrics and readiness have other names."""


FATAL_XIDS = (48, 64, 74, 79, 95, 119, 140)
"""Errors after which a GPU is reset or replaced, not the program that met them:
uncorrectable memory (48, 64, 95, 140), NVLink (74), fallen off the bus (79), its own
processor hangs (119). https://docs.nvidia.com/deploy/xid-errors/"""


@dataclass(frozen=True)
class Alert:
    """When it fires, how bad it is, and what a person reads."""

    name: str
    expression: str
    severity: str
    summary: str
    description: str
    for_seconds: int = 0
    labels: dict[str, str] = field(default_factory=dict)

    def rule(self, runbooks: str) -> dict[str, Any]:
        """As Prometheus has it."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": f"{self.for_seconds}s",
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{runbooks}/{self.name}.md",
            },
        }


def alerts(
    limits: AlertThresholds, *, gateway: bool, gpus: bool = False
) -> tuple[Alert, ...]:
    """All alerts; of gateway and GPUs only where the stack makes and watches them."""
    return (
        *_monitoring(limits),
        *(_gateway(limits) if gateway else ()),
        *(_gpus() if gpus else ()),
    )


def _monitoring(limits: AlertThresholds) -> tuple[Alert, ...]:
    window = f"{limits.window_seconds}s"
    group = "job, namespace, app"
    return (
        Alert(
            WATCHDOG,
            "vector(1)",
            "none",
            "Alerts arrive",
            "Fires always: when it stops arriving, the path of all alerts is broken.",
        ),
        Alert(
            "TargetDown",
            f"count by ({group}) (up == 0) / count by ({group}) (up) > 0.1",
            "warning",
            "{{ $labels.app }}{{ $labels.job }}: scrape targets do not answer",
            "{{ $value | humanizePercentage }} of the targets of job "
            "{{ $labels.job }}, app {{ $labels.app }} in {{ $labels.namespace }}.",
            for_seconds=limits.target_down_seconds,
        ),
        Alert(
            "PrometheusRuleFailures",
            "sum by (rule_group) (increase("
            f"prometheus_rule_evaluation_failures_total[{window}])) > 0",
            "warning",
            "Rules of {{ $labels.rule_group }} cannot be evaluated",
            "{{ $value | humanize }} evaluations failed.",
        ),
        Alert(
            "PrometheusReloadFailed",
            "prometheus_config_last_reload_successful == 0",
            "warning",
            "Prometheus works with an old configuration",
            "The last reload was refused; its log says why.",
        ),
        Alert(
            "PrometheusNotificationsFailing",
            f"increase(prometheus_notifications_errors_total[{window}]) > 0 or "
            f"increase(prometheus_notifications_dropped_total[{window}]) > 0",
            "critical",
            "Alerts do not reach Alertmanager",
            "{{ $value | humanize }} could not be sent to {{ $labels.alertmanager }}.",
        ),
        Alert(
            "AlertmanagerWebhookFailing",
            "sum by (integration, reason) (increase("
            f"alertmanager_notifications_failed_total[{window}])) > 0",
            "critical",
            "Alertmanager's {{ $labels.integration }} receivers do not get alerts",
            "{{ $value | humanize }} messages failed ({{ $labels.reason }}).",
        ),
    )


def _gateway(limits: AlertThresholds) -> tuple[Alert, ...]:
    window = f"{limits.window_seconds}s"
    failed = f'{LISTENER},envoy_response_code_class="5"'
    return (
        Alert(
            "GatewayErrorRatioHigh",
            f"sum(rate(envoy_http_downstream_rq_xx{{{failed}}}[{window}])) / "
            f"(sum(rate(envoy_http_downstream_rq_xx{{{LISTENER}}}[{window}])) > 0) "
            f"> {limits.gateway_error_ratio:g}",
            "critical",
            "The gateway answers with 5xx",
            "Share of 5xx: {{ $value | humanizePercentage }}.",
            for_seconds=limits.gateway_error_seconds,
        ),
        Alert(
            "GatewayAbsent",
            f'absent(up{{namespace="{naming.GATEWAY_NAMESPACE}",app="envoy"}} == 1)',
            "critical",
            "No proxy of the gateway answers",
            "No model can be reached through the gateway.",
            for_seconds=limits.target_down_seconds,
        ),
    )


def _gpus() -> tuple[Alert, ...]:
    fatal = [f"DCGM_FI_DEV_XID_ERRORS == {xid}" for xid in FATAL_XIDS]
    return (
        Alert(
            "GpuFailed",
            " or ".join(["DCGM_FI_DEV_ROW_REMAP_FAILURE == 1", *fatal]),
            "critical",
            "GPU {{ $labels.gpu }} of {{ $labels.node }} has failed",
            "XID {{ $value }} of {{ $labels.modelName }} {{ $labels.UUID }}, or 1 for "
            "memory that can be remapped no more.",
        ),
    )


def rule_file(found: Iterable[Alert], runbooks: str) -> str:
    """The alerts as a Prometheus rule file (YAML)."""
    rules = [alert.rule(runbooks) for alert in found]
    groups = {"groups": [{"name": "slipway/platform", "rules": rules}]}
    return yaml.safe_dump(groups, sort_keys=False, width=1000)
