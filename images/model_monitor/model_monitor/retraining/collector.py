"""Metrics of requests to retrain on /metrics, read from their files at each scrape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from model_monitor.config import Config
from model_monitor.metrics import families
from model_monitor.retraining import stored
from model_monitor.store import Store

OPEN = "model_retraining_requested"
UNSENT = "model_retraining_requests_unsent"
DAMAGED = "monitor_retraining_files_damaged"


class RetrainingCollector(Collector):
    """Open requests to retrain, and requests that the webhook has not accepted."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config, self._store = config, store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        known = {it.name for it in self._config.models}
        open_, unsent = dict[tuple[str, str], bool](), defaultdict[str, int](int)
        for it in stored.read_all(self._store):
            model = it.content["model"]
            if model not in known:
                continue
            key = model, it.content["revision"]
            open_[key] = open_.get(key, False) or it.is_open
            is_sent = it.state and it.state.delivery.delivered is not None
            unsent[model] += it.is_open and not is_sent
        yield _family(OPEN, {key: float(it) for key, it in open_.items()})
        yield _family(DAMAGED, {(): float(len(stored.damaged(self._store)))})
        if self._config.retraining.webhook:
            yield _family(UNSENT, {(it,): float(unsent[it]) for it in sorted(known)})

    def describe(self) -> list[GaugeMetricFamily]:
        """Return nothing, so that a registry need not scrape to learn the names."""
        return []


def _family(name: str, values: dict[tuple[str, ...], float]) -> GaugeMetricFamily:
    of_contract = families()[name]
    found = GaugeMetricFamily(name, of_contract.meaning, labels=of_contract.labels)
    for labels, value in values.items():
        found.add_metric(labels, value)
    return found
