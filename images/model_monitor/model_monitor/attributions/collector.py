"""Metrics of attributions on /metrics, computed from the results at each scrape."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from model_monitor.config import Config
from model_monitor.metrics import OTHERS, Sample, families

PREFIX = "model_attribution"


class AttributionsCollector(Collector):
    """`results` gives the models' results as `figures.results.read` does."""

    def __init__(
        self, config: Config, results: Callable[[], Iterable[dict[str, Any]]]
    ) -> None:
        self._config, self._results = config, results

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = {
            it.name: GaugeMetricFamily(it.name, it.meaning, labels=it.labels)
            for it in families().values()
            if it.name.startswith(PREFIX)
        }
        for name, labels, value in self._samples():
            if value is not None:
                found[name].add_metric(labels, float(value))
        yield from (family for family in found.values() if family.samples)

    def describe(self) -> list[GaugeMetricFamily]:
        """Return nothing, so that a registry need not scrape to learn the names."""
        return []

    def _samples(self) -> Iterator[Sample]:
        for results in self._results():
            model = self._config.model(results["model"])
            most = model.drift.features if model else 0
            for revision in results["revisions"]:
                if revision.get("is_retired", False):
                    continue
                key = (results["model"], revision["revision"])
                # Results of an earlier program do not have them.
                missing = revision.get("days_without_attributions")
                yield f"{PREFIX}_days_missing", key, missing
                if found := revision.get("attributions"):
                    yield from _of(key, found, most)


def _of(key: tuple[str, str], found: dict[str, Any], most: int) -> Iterator[Sample]:
    day = dt.datetime.fromisoformat(f"{found['day']}T00:00:00+00:00")
    yield f"{PREFIX}_day_timestamp_seconds", key, day.timestamp()
    yield f"{PREFIX}_ndcg", key, found["ndcg"]
    # Without enough first days there is nothing that could drift.
    if found["reference_days"]:
        yield f"{PREFIX}_drift_detected", key, found["persistent"]
    features = found["features"]
    for it in features[:most]:
        labels = (*key, it["feature"])
        figure, reference = it["figure"], it["reference"]
        yield PREFIX, labels, figure["value"]
        yield f"{PREFIX}_low", labels, figure["low"]
        yield f"{PREFIX}_high", labels, figure["high"]
        yield f"{PREFIX}_reference", labels, reference and reference["value"]
    if rest := features[most:]:
        yield PREFIX, (*key, OTHERS), sum(it["figure"]["value"] for it in rest)
