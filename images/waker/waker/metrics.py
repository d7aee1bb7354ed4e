"""The waker's metrics; `target` is the model server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from waker.buffer import Refusal
from waker.connections import Bound
from waker.keeper import Keeper
from waker.kept import Kept

Family = type[CounterMetricFamily] | type[GaugeMetricFamily]
_BY_MODEL: tuple[tuple[Family, str, str, Callable[[Kept], float]], ...] = (
    (
        GaugeMetricFamily,
        "asleep",
        "Whether it has no replicas.",
        lambda kept: float(kept.asleep),
    ),
    (
        GaugeMetricFamily,
        "held",
        "Requests that wait or are forwarded.",
        lambda kept: len(kept.buffer),
    ),
    (
        CounterMetricFamily,
        "wakes",
        "Times that it woke.",
        lambda kept: kept.counts["wakes"],
    ),
    (
        CounterMetricFamily,
        "wake_seconds",
        "Time until a pod was ready, of all wakes.",
        lambda kept: kept.wake_seconds,
    ),
)


class MetricsCollector(Collector):
    """Read anew by each scrape."""

    def __init__(self, keeper: Keeper, bound: Bound) -> None:
        self._keeper, self._bound = keeper, bound

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "waker_errors", "Rounds that the API server failed.", self._keeper.errors
        )
        yield CounterMetricFamily(
            "waker_connections_closed",
            "Connections that were one too many.",
            self._bound.closed,
        )
        all_kept = [(kept.model.name, kept) for kept in self._keeper.kept.values()]
        for kind, name, text, value in _BY_MODEL:
            family = kind(f"waker_{name}", text, labels=["target"])
            for target, kept in all_kept:
                family.add_metric([target], value(kept))
            yield family
        refused = CounterMetricFamily(
            "waker_refused",
            "Requests refused here, by what was too much or too slow.",
            labels=["target", "reason"],
        )
        forwarded = CounterMetricFamily(
            "waker_forwarded",
            "Requests forwarded, by the answer's status.",
            labels=["target", "status"],
        )
        for target, kept in all_kept:
            for reason in Refusal:
                refused.add_metric([target, reason.value], kept.counts[reason.value])
            for status, number in sorted(kept.counts.items()):
                if status.isdigit():
                    forwarded.add_metric([target, status], number)
        yield refused
        yield forwarded
