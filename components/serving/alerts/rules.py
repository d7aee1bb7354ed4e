"""Prometheus rules of a model server: the recorded series, and alerts on them.

An alert on a metric that the server does not have is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from components.observability.alert import Alert
from components.observability.alert import rule_file as group_file
from components.serving.alerts import budget_rules, recording
from components.serving.args.model_server_args import Alerts, ModelServerArgs
from components.serving.args.parts import Part, parts
from components.serving.runtimes.runtime_metrics import COMMON, RuntimeMetrics

RESTARTS_WINDOW = "15m"


def alerts(
    name: str,
    selector: str,
    window: str,
    limits: Alerts,
    metrics: RuntimeMetrics = COMMON,
    *,
    asleep: str = "",
) -> list[Alert]:
    """Return the alerts for which the server has metrics; each has its runbook.

    `asleep`: series that is 1 while the model has no replicas, on purpose.
    """
    unless = f" unless on() max({asleep}) == 1" if asleep else ""
    has = {
        "ModelErrorRatioHigh": metrics.requests and metrics.errors,
        "ModelLatencyHigh": metrics.latency,
        "ModelQueueSlow": metrics.queue,
        "ModelSaturated": metrics.saturation,
        "ModelPredictionLogDrops": metrics.prediction_log,
        "ModelRestarting": metrics.started,
    }
    ready = recording.expression(metrics.ready, selector)
    found = [
        Alert(
            "ModelWithoutReadyReplica",
            f"(sum({ready}) or vector(0)) < 1{unless}",
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
            f"increase(prediction_log_dropped_total{{{selector}}}[{window}]) > 0",
            "warning",
            f"{name} loses prediction records",
            "{{ $value | humanize }} records were dropped, for the disk was too slow.",
        ),
        Alert(
            "ModelRestarting",
            f"changes({recording.expression(metrics.started, selector)}"
            f"[{RESTARTS_WINDOW}]) >= {limits.restarts}",
            "warning",
            f"A replica of {name} keeps restarting",
            "{{ $labels.pod }}: {{ $value }} restarts within 15 minutes.",
        ),
    ]
    if limits.quiet_seconds and metrics.requests:
        found.append(
            Alert(
                "ModelWithoutTraffic",
                f"({_silent(selector, limits.quiet_seconds)}){unless}",
                "warning",
                f"Nobody calls {name}",
                f"No request for {limits.quiet_seconds} s, though its replicas are "
                "there.",
            )
        )
    if limits.availability_percent and metrics.requests and metrics.errors:
        found += budget_rules.alerts(name, selector, limits.availability_percent)
    return [alert for alert in found if has.get(alert.name, True)]


def _silent(selector: str, seconds: int) -> str:
    """No request, based on series that are old enough to show it."""
    requests = f"model_requests_total{{{selector}}}"
    before = f"sum({requests} offset {seconds}s) >= 0"
    return f"sum(increase({requests}[{seconds}s])) == 0 and {before}"


def selector(name: str, namespace: str, revision: str = "") -> str:
    """Return the label selector of one model server, or of one of its revisions.

    Not by the model's name: several servers may serve one model. Prometheus sets
    `server` on the series that it scrapes (components/observability/scrape.py).
    """
    chosen = f'server="{name}",namespace="{namespace}"'
    return f'{chosen},revision="{revision}"' if revision else chosen


def revision_alerts(
    name: str, selector: str, revision: str, metrics: RuntimeMetrics = COMMON
) -> list[Alert]:
    """The alert of one revision among several: ready ones do not silence it."""
    ready = recording.expression(metrics.ready, selector)
    return [
        Alert(
            "ModelWithoutReadyReplica",
            f"(sum({ready}) or vector(0)) < 1",
            "critical",
            f"No replica of {name}'s revision {revision} is ready",
            "Every request that it is given fails.",
            labels={"revision": revision},
        )
    ]


def scaling_alerts(name: str, selector: str, window: str) -> list[Alert]:
    """The alerts of a model that scales by its in-flight requests."""
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


def idle_alerts(name: str, target: str, window: str) -> list[Alert]:
    """The alerts of a model that may scale to zero, from its waker's metrics."""
    # The sender is responsible for a body that does not arrive.
    chosen = f'{target},reason!="body"'
    refused = f"sum(increase(waker_refused_total{{{chosen}}}[{window}]))"
    return [
        Alert(
            "ModelDoesNotWake",
            f"{refused} > 0 or absent(waker_asleep{{{target}}})",
            "critical",
            f"Requests to {name} are not served because it does not wake",
            "Callers get 503, or would get it, because no waker runs.",
        )
    ]


def rule_file(
    name: str, namespace: str, args: ModelServerArgs, made_of: Sequence[Part] = ()
) -> str:
    """The rules of one model as a Prometheus rule file (YAML)."""
    limits = args.alerts
    chosen = selector(name, namespace)
    window = f"{limits.window_seconds}s"
    model, metrics = args.served(name), args.runtime.metrics
    labels = {"model": model, "server": name, "namespace": namespace}
    sleeper = f'target="{name}",namespace="{namespace}"'
    sleeps = bool(args.scaling.idle)
    asleep = f"waker_asleep{{{sleeper}}}" if sleeps else ""
    chosen_alerts = alerts(name, chosen, window, limits, metrics, asleep=asleep)
    if sleeps:
        chosen_alerts += idle_alerts(name, sleeper, window)
    sources = []
    for part in made_of or parts(name, args):
        of_part = selector(name, namespace, part.revision)
        said = {"model": model, "runtime": args.runtime.kind, "arm": part.args.arm}
        sources.append(recording.Source(of_part, said))
        if part.revision:
            chosen_alerts += revision_alerts(name, of_part, part.revision, metrics)
        if part.args.scaling.signal == "inflight":
            of_revision = {"revision": part.revision} if part.revision else {}
            chosen_alerts += [
                replace(alert, labels=of_revision)
                for alert in scaling_alerts(part.name, of_part, window)
            ]
    about = [
        replace(
            alert, labels={**labels, **alert.labels}, for_seconds=limits.for_seconds
        )
        for alert in chosen_alerts
    ]
    records = recording.rules(metrics, chosen, window, sources)
    if limits.availability_percent and metrics.requests and metrics.errors:
        records += budget_rules.records(chosen)
    return group_file(f"{namespace}/{name}", about, limits.runbooks, records)
