"""Metrics of rollouts; `target` is the model server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rollout.status import Phase
from rollout.verdict import Verdict
from rollout.watched import Watched


class MetricsCollector(Collector):
    """Left by the loop's ticks, collected by the scrapes' threads."""

    def __init__(self, watched: Mapping[str, Watched]) -> None:
        self._watched = watched

    def collect(self) -> Iterator[Metric]:
        verdicts = GaugeMetricFamily(
            "rollout_verdict",
            "1 for the verdict of the last tick.",
            labels=["target", "verdict"],
        )
        ticked = GaugeMetricFamily(
            "rollout_last_tick_timestamp_seconds",
            "When a tick last came to its end.",
            labels=["target"],
        )
        errors = CounterMetricFamily(
            "rollout_errors", "Ticks that failed.", labels=["target"]
        )
        yield from _of_status(self._watched)
        for name, one in self._watched.items():
            for verdict in Verdict if one.outcome else ():
                is_it = one.outcome is not None and one.outcome.verdict == verdict
                verdicts.add_metric([name, verdict], float(is_it))
            ticked.add_metric([name], one.ticked)
            errors.add_metric([name], one.errors)
        yield from (verdicts, ticked, errors)


def _of_status(watched: Mapping[str, Watched]) -> Iterator[Metric]:
    """Metrics of each rollout's progress; absent before it has begun."""
    phases = GaugeMetricFamily(
        "rollout_phase", "1 for the phase that it is in.", labels=["target", "phase"]
    )
    weights = GaugeMetricFamily(
        "rollout_canary_weight_percent",
        "The canary's share by the last decision.",
        labels=["target"],
    )
    steps = GaugeMetricFamily(
        "rollout_step_timestamp_seconds",
        "When the canary came to this weight.",
        labels=["target"],
    )
    orders = GaugeMetricFamily(
        "rollout_order_stands", "1 while a person's order stands.", labels=["target"]
    )
    waits = GaugeMetricFamily(
        "rollout_waits_for_data",
        "1 while counts, predictions or labels are missing that the gates need.",
        labels=["target"],
    )
    for name, one in watched.items():
        if one.outcome:
            waits.add_metric([name], float(one.outcome.lacks_data))
        if status := one.status:
            for phase in Phase:
                phases.add_metric([name, phase], float(status.phase is phase))
            weights.add_metric([name], status.weight)
            steps.add_metric([name], status.started)
            orders.add_metric([name], float(status.standing is not None))
    yield from (phases, weights, steps, orders, waits)
