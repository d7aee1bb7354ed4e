"""The recorder's metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from alert_recorder.store import Store


class MetricsCollector(Collector):
    """Read anew by each scrape."""

    def __init__(self, store: Store, closed: Callable[[], int]) -> None:
        """`closed` counts connections that were one too many."""
        self._counts, self._closed = store.counts, closed

    def collect(self) -> Iterator[Metric]:
        alerts = CounterMetricFamily(
            "alert_recorder_alerts", "Alerts received, by status.", labels=["status"]
        )
        for status in ("firing", "resolved"):
            alerts.add_metric([status], self._counts[status])
        yield alerts
        yield CounterMetricFamily(
            "alert_recorder_write_errors",
            "Records not written to a file.",
            self._counts["write_error"],
        )
        yield CounterMetricFamily(
            "alert_recorder_connections_closed",
            "Connections closed to make room for new ones.",
            self._closed(),
        )
