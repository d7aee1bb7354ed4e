"""Recording rules: every server's metrics under the common names, and aggregates.

Our server and the adapters use the common names themselves; a rule that records them
again would count twice. For other servers, the first rules of the group translate the
metrics of each replica separately, so dashboards and alerts need not know the server.
https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from string import Template
from typing import Any

from components.serving.runtimes.runtime_metrics import RuntimeMetrics, Timing

BY = "server, model, namespace, revision, runtime, arm"
"""Labels that the aggregates keep."""
TARGET = "server, namespace, pod, node, instance, revision"
"""Labels that Prometheus gives to each series of a model server's pod."""
OF_SERVER = "server, namespace, revision"
READY = "model:replicas_ready:sum"

Rule = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Series of the same model, runtime and arm."""

    selector: str
    labels: Mapping[str, str]
    """Model, runtime and arm, which third-party servers do not report."""


def rules(
    metrics: RuntimeMetrics, selector: str, window: str, sources: Iterable[Source]
) -> list[Rule]:
    """Return the rules of one server, in the order in which they build on each other.

    `sources`: the server's parts, which `selector` selects together.
    """
    found: list[Rule] = []
    for source in [] if metrics.native else sources:
        found += _translation(metrics, source)
        found += _calculated(metrics, source, window)
    return [*found, *_aggregates(metrics, selector, window)]


def expression(template: str, selector: str) -> str:
    """A metric's expression for the series that `selector` chooses."""
    return Template(template).substitute(s=selector)


def _rule(name: str, expr: str, labels: Mapping[str, str] | None = None) -> Rule:
    more = {"labels": dict(labels)} if labels else {}
    return {"record": name, "expr": expr, **more}


def _translation(metrics: RuntimeMetrics, source: Source) -> Iterator[Rule]:
    """The common series of each replica."""
    labels, selector = source.labels, source.selector
    counters = {
        "model_requests_total": (metrics.requests, labels),
        # Only the server's faults count, whatever reason it reports.
        "model_errors_total": (metrics.errors, {**labels, "status": "5xx"}),
        "model_inflight": (metrics.inflight, labels),
    }
    for name, (template, own) in counters.items():
        if template:
            found = expression(template, selector)
            yield _rule(name, f"sum by ({TARGET}) ({found})", own)
    if metrics.saturation:
        found = expression(metrics.saturation, selector)
        yield _rule("model_saturation", f"max by ({TARGET}) ({found})", labels)
    for name, timing in _timings(metrics):
        chosen = f"{{{selector}}}"
        if timing.has_buckets:
            found = f"sum by (le, {TARGET}) ({timing.series}_bucket{chosen})"
            yield _rule(f"{name}_bucket", found, labels)
        for part, divided in (("sum", _scale(timing)), ("count", "")):
            found = f"sum by ({TARGET}) ({timing.series}_{part}{chosen}){divided}"
            yield _rule(f"{name}_{part}", found, labels)


def _calculated(metrics: RuntimeMetrics, source: Source, window: str) -> Iterator[Rule]:
    """Aggregates that no series of a replica can provide.

    Of summaries, the worst replica's percentile: percentiles cannot be added up.
    """
    chosen = source.selector
    for name, timing in _timings(metrics):
        if timing.has_buckets:
            continue
        if timing.kind == "summary":
            quantile = f'{timing.series}{{{chosen},quantile="0.99"}}'
            found = f"max by ({OF_SERVER}) ({quantile} >= 0)"
        else:
            buckets = f"rate({timing.series}_bucket{{{chosen}}}[{window}])"
            found = f"histogram_quantile(0.99, sum by (le, {OF_SERVER}) ({buckets}))"
        yield _rule(_p99(name), f"{found}{_scale(timing)}", source.labels)
    ready = expression(metrics.ready, chosen)
    yield _rule(READY, f"sum by ({OF_SERVER}) ({ready})", source.labels)


def _timings(metrics: RuntimeMetrics) -> Iterator[tuple[str, Timing]]:
    if metrics.latency:
        yield "model_latency_seconds", metrics.latency
    if metrics.queue:
        yield "model_queue_seconds", metrics.queue


def _scale(timing: Timing) -> str:
    return f" / {timing.per_second}" if timing.per_second != 1 else ""


def _aggregates(metrics: RuntimeMetrics, selector: str, window: str) -> Iterator[Rule]:
    """Aggregates for alerts and dashboards, by server and revision."""

    def rate(metric: str, more: str = "") -> str:
        return f"sum by ({BY}) (rate({metric}{{{selector}{more}}}[{window}]))"

    requests = rate("model_requests_total")
    errors = rate("model_errors_total", ',status=~"5.."')
    yield _rule("model:requests:rate", requests)
    # A model that never failed has no series of errors: its ratio is 0.
    ratio = f"({errors} or 0 * {requests}) / ({requests} > 0)"
    yield _rule("model:errors:ratio", ratio)
    for name, timing in _timings(metrics):
        if timing.has_buckets:
            buckets = f"rate({name}_bucket{{{selector}}}[{window}])"
            found = f"histogram_quantile(0.99, sum by (le, {BY}) ({buckets}))"
            yield _rule(_p99(name), found)
    if metrics.inflight:
        found = f"sum by ({BY}) (model_inflight{{{selector}}})"
        yield _rule("model:inflight:sum", found)
    if metrics.saturation:
        found = f"max by ({BY}) (model_saturation{{{selector}}})"
        yield _rule("model:saturation:max", found)
    if metrics.native:
        ready = expression(metrics.ready, selector)
        yield _rule(READY, f"sum by ({BY}) ({ready})")


def _p99(series: str) -> str:
    return f"{series.replace('model_', 'model:', 1)}:p99"
