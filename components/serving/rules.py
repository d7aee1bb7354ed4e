"""Prometheus rules of a model: series that dashboards share, and alerts.

The server names its metrics as the contract does (images/model_server/README.md), so
they need no translation here; recorded are their aggregates, by replica no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from components.serving.model_server_args import Alerts, ModelServerArgs
from components.serving.parts import Part, parts

BY = "model, namespace, revision, runtime, arm"
"""Labels that the aggregates keep."""


@dataclass(frozen=True)
class Alert:
    """An alert: its condition, how bad it is, and what a person reads."""

    name: str
    expression: str
    severity: str
    summary: str
    description: str
    revision: str = ""
    """Name of the revision that it is about, if about one alone."""


def recording_rules(selector: str, window: str) -> dict[str, str]:
    """Expression by the name of the series recorded."""

    def rate(metric: str, more: str = "") -> str:
        return f"sum by ({BY}) (rate({metric}{{{selector}{more}}}[{window}]))"

    def percentile(metric: str) -> str:
        buckets = f"rate({metric}_bucket{{{selector}}}[{window}])"
        return f"histogram_quantile(0.99, sum by (le, {BY}) ({buckets}))"

    requests = rate("model_requests_total")
    errors = rate("model_errors_total", ',status=~"5.."')
    return {
        "model:requests:rate": requests,
        # A model that never failed has no series of errors: its ratio is 0.
        "model:errors:ratio": f"({errors} or 0 * {requests}) / ({requests} > 0)",
        "model:latency_seconds:p99": percentile("model_latency_seconds"),
        "model:queue_seconds:p99": percentile("model_queue_seconds"),
        "model:inflight:sum": f"sum by ({BY}) (model_inflight{{{selector}}})",
        "model:saturation:max": f"max by ({BY}) (model_saturation{{{selector}}})",
        "model:replicas_ready:sum": f"sum by ({BY}) (model_ready{{{selector}}})",
    }


def alerts(name: str, selector: str, window: str, limits: Alerts) -> list[Alert]:
    """The alerts of one model; each has its runbook."""
    log_drops = (
        f"increase(prediction_log_dropped_total[{window}]) "
        "* on (instance) group_left (model) "
        f"max by (instance, model) (model_info{{{selector}}})"
    )
    return [
        Alert(
            "ModelWithoutReadyReplica",
            f"(sum(model_ready{{{selector}}}) or vector(0)) < 1",
            "critical",
            f"No replica of {name} is ready",
            "Every request to the model fails.",
        ),
        Alert(
            "ModelErrorRatioHigh",
            f"model:errors:ratio{{{selector}}} > {limits.error_percent / 100:g}",
            "critical",
            f"{name} fails more than {limits.error_percent:g} % of requests",
            "Share of 5xx answers: {{ $value | humanizePercentage }}, "
            "revision {{ $labels.revision }}.",
        ),
        Alert(
            "ModelLatencyHigh",
            f"model:latency_seconds:p99{{{selector}}} "
            f"> {limits.p99_milliseconds / 1000:g}",
            "warning",
            f"{name} is slower than {limits.p99_milliseconds:g} ms at p99",
            "99th percentile inside the server: {{ $value | humanizeDuration }}.",
        ),
        Alert(
            "ModelQueueSlow",
            f"model:queue_seconds:p99{{{selector}}} "
            f"> {limits.queue_p99_milliseconds / 1000:g}",
            "warning",
            f"Requests wait more than {limits.queue_p99_milliseconds:g} ms for {name}",
            "99th percentile of the wait: {{ $value | humanizeDuration }}.",
        ),
        Alert(
            "ModelSaturated",
            f"model:saturation:max{{{selector}}} > {limits.saturation_percent / 100:g}",
            "warning",
            f"A replica of {name} is over {limits.saturation_percent} % of capacity",
            "Saturation: {{ $value | humanizePercentage }}.",
        ),
        Alert(
            "ModelPredictionLogDrops",
            f"{log_drops} > 0",
            "warning",
            f"{name} loses prediction records",
            "{{ $value | humanize }} records were dropped, for the disk was too slow.",
        ),
    ]


def selector(name: str, namespace: str, revision: str = "") -> str:
    """What chooses the series of one model server, or of one of its revisions."""
    chosen = f'model="{name}",namespace="{namespace}"'
    return f'{chosen},revision="{revision}"' if revision else chosen


def revision_alerts(name: str, selector: str, revision: str) -> list[Alert]:
    """The alert of one revision among several: others being ready does not help."""
    return [
        Alert(
            "ModelWithoutReadyReplica",
            f"(sum(model_ready{{{selector}}}) or vector(0)) < 1",
            "critical",
            f"No replica of {name}'s revision {revision} is ready",
            "Every request that it is given fails.",
            revision,
        )
    ]


def scaling_alerts(name: str, selector: str, window: str) -> list[Alert]:
    """The alerts of a model that scales by its requests in flight."""
    refused = f'keda_scaler_detail_errors_total{{scaledObject="{name}"}}'
    return [
        Alert(
            "ModelScalingSignalAbsent",
            f"absent(model_inflight{{{selector}}}) or "
            f"max(increase({refused}[{window}])) > 0",
            "warning",
            f"{name} cannot be scaled by its requests in flight",
            "Its replicas stay as they are until the signal is back.",
        )
    ]


def rule_file(
    name: str, namespace: str, args: ModelServerArgs, made_of: Sequence[Part] = ()
) -> str:
    """The rules of one model as a Prometheus rule file (YAML)."""
    limits = args.alerts
    chosen = selector(name, namespace)
    window = f"{limits.window_seconds}s"
    labels = {"model": name, "namespace": namespace}
    told = alerts(name, chosen, window, limits)
    for part in made_of or parts(name, args):
        of_part = selector(name, namespace, part.revision)
        if part.revision:
            told += revision_alerts(name, of_part, part.revision)
        if part.args.scaling.signal == "inflight":
            alerts_of_part = scaling_alerts(part.name, of_part, window)
            told += [replace(a, revision=part.revision) for a in alerts_of_part]
    rules: list[dict[str, Any]] = [
        {"record": series, "expr": expression}
        for series, expression in recording_rules(chosen, window).items()
    ]
    rules += [
        {
            "alert": alert.name,
            "expr": alert.expression,
            "for": f"{limits.for_seconds}s",
            "labels": {
                **labels,
                "severity": alert.severity,
                **({"revision": alert.revision} if alert.revision else {}),
            },
            "annotations": {
                "summary": alert.summary,
                "description": alert.description,
                "runbook_url": f"{limits.runbooks}/{alert.name}.md",
            },
        }
        for alert in told
    ]
    content = {"groups": [{"name": f"{namespace}/{name}", "rules": rules}]}
    return yaml.safe_dump(content, sort_keys=False, width=1000)
