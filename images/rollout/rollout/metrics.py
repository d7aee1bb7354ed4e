"""What there is to see of rollouts as metrics; `target` is the model server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

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
        for name, one in self._watched.items():
            for verdict in Verdict if one.outcome else ():
                is_it = one.outcome is not None and one.outcome.verdict == verdict
                verdicts.add_metric([name, verdict], float(is_it))
            ticked.add_metric([name], one.ticked)
            errors.add_metric([name], one.errors)
        yield from (verdicts, ticked, errors)
