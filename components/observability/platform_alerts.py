"""The platform's own alerts, as data; each has a runbook in docs/runbooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from components import naming
from components.observability import alert
from components.observability.alert import Alert
from components.observability.settings import AlertThresholds

WATCHDOG = "Watchdog"
GROUP = "slipway/platform"
"""The rule group of all of them."""
LISTENER = 'envoy_http_conn_manager_prefix=~"https?-.*"'
"""Listeners of Gateways; Envoy's own for metrics and readiness have other names."""


FATAL_XIDS = (48, 64, 74, 79, 95, 119, 140)
"""Errors after which a GPU is reset or replaced, not the program that met them:
uncorrectable memory (48, 64, 95, 140), NVLink (74), fallen off the bus (79), its own
processor hangs (119). https://docs.nvidia.com/deploy/xid-errors/"""
XID_SEEN = "gpu:xid:seen"
"""By GPU and XID, while the exporter reports it: its gauge has only the last XID, which
the next one or a reset overwrites."""
OF_GPU = "node, gpu, UUID, modelName"
EXPORTER_GONE = "15m"
"""After so long without its exporter a node was replaced, and its GPUs with it."""
RESTARTS_WINDOW = "1h"
TARGETS_DOWN_RATIO = 0.1
"""Share of a program's targets that may be down."""


def alerts(
    limits: AlertThresholds, *, gateway: bool, gpus: bool = False
) -> tuple[Alert, ...]:
    """All alerts; of gateway and GPUs only where the stack makes and watches them."""
    return (
        *_monitoring(limits),
        *(_gateway(limits) if gateway else ()),
        *(_gpus(limits) if gpus else ()),
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
            f"count by ({group}) (up == 0) / count by ({group}) (up) "
            f"> {TARGETS_DOWN_RATIO:g}",
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
            "PrometheusRestarting",
            f'changes(process_start_time_seconds{{job="prometheus"}}'
            f"[{RESTARTS_WINDOW}]) > 1",
            "critical",
            "Prometheus keeps restarting",
            "{{ $value | humanize }} restarts within an hour: between them nothing is "
            "watched, and alerts that go on firing are reported as resolved.",
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
            "GatewayAnswersCut",
            _cut(limits, window),
            "critical",
            "The gateway ends answers by its time limits",
            "Share of the answers of {{ $labels.envoy_cluster_name }}"
            "{{ $labels.envoy_http_conn_manager_prefix }}: "
            "{{ $value | humanizePercentage }}. Callers may see status 200 and half an "
            "answer.",
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


def _cut(limits: AlertThresholds, window: str) -> str:
    """Share of the answers that a time limit ended, by backend or by listener.

    An answer that has begun keeps its status, so no ratio of statuses has them. Of more
    ends than beginnings, which long answers make, the share is all.
    """
    kinds = (
        # The whole answer; a retried part shows as 504 or as another replica's answer.
        (
            "envoy_cluster_name",
            "envoy_cluster_upstream_rq_timeout",
            "envoy_cluster_upstream_rq_total",
            "",
        ),
        # Pauses in a streamed response.
        (
            "envoy_http_conn_manager_prefix",
            "envoy_http_downstream_rq_idle_timeout",
            "envoy_http_downstream_rq_total",
            f"{{{LISTENER}}}",
        ),
    )
    found = []
    for by, ended, begun, chosen in kinds:
        cut, all_ = (
            f"sum by ({by}) (rate({name}{chosen}[{window}]))" for name in (ended, begun)
        )
        share = f"({cut} > 0) / ({all_} >= {cut} or {cut})"
        found.append(f"{share} > {limits.gateway_error_ratio:g}")
    return " or ".join(found)


def _gpus(limits: AlertThresholds) -> tuple[Alert, ...]:
    window = f"{limits.gpu_failed_seconds}s"
    fatal = f'{XID_SEEN}{{xid=~"{"|".join(map(str, FATAL_XIDS))}"}}'
    remap = f"max_over_time(DCGM_FI_DEV_ROW_REMAP_FAILURE[{window}]) == 1"
    exporter = f'up{{app="dcgm-exporter"}}[{EXPORTER_GONE}]'
    return (
        Alert(
            "GpuFailed",
            f"(max by ({OF_GPU}, xid) (max_over_time({fatal}[{window}])) or "
            f"max by ({OF_GPU}) ({remap})) and on (node) last_over_time({exporter})",
            "critical",
            "GPU {{ $labels.gpu }} of {{ $labels.node }} has failed",
            "{{ $labels.modelName }} {{ $labels.UUID }}: "
            "{{ if $labels.xid }}XID {{ $labels.xid }}{{ else }}"
            "memory that can be remapped no more{{ end }}.",
        ),
        Alert(
            "GpuHot",
            f"max by ({OF_GPU}) (DCGM_FI_DEV_GPU_TEMP) "
            f"> {limits.gpu_temperature_celsius}",
            "warning",
            "GPU {{ $labels.gpu }} of {{ $labels.node }} is hot",
            "{{ $labels.modelName }}: {{ $value }} degrees Celsius. It slows down to "
            "protect itself.",
            for_seconds=limits.gpu_seconds,
        ),
        Alert(
            "GpuMemoryFull",
            f"max by ({OF_GPU}) (DCGM_FI_DEV_FB_USED "
            "/ (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)) "
            f"> {limits.gpu_memory_percent / 100:g}",
            "warning",
            "Memory of GPU {{ $labels.gpu }} of {{ $labels.node }} is full",
            "{{ $labels.modelName }}: {{ $value | humanizePercentage }} in use. The "
            "next allocation may fail.",
            for_seconds=limits.gpu_seconds,
        ),
    )


def _records(*, gpus: bool) -> list[dict[str, Any]]:
    """The series that alerts are built on."""
    if not gpus:
        return []
    # The exporter's counter has each XID of its last five minutes, so that two
    # between scrapes are not one; the gauge is there if the counter is not.
    last = f'count_values by ({OF_GPU}) ("xid", DCGM_FI_DEV_XID_ERRORS)'
    each = f'max by ({OF_GPU}, xid) (DCGM_EXP_XID_ERRORS_COUNT{{xid!=""}}) > 0'
    return [{"record": XID_SEEN, "expr": f"{last} or {each}"}]


def rule_file(found: Iterable[Alert], runbooks: str) -> str:
    """The alerts as a Prometheus rule file (YAML)."""
    alerts = list(found)
    gpus = any(one.name == "GpuFailed" for one in alerts)
    return alert.rule_file(GROUP, alerts, runbooks, _records(gpus=gpus))
