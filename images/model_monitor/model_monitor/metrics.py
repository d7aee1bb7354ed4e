"""The metrics on /metrics: gauges computed from the results at each scrape.

contracts/monitor_metrics.yaml defines the families; those of incoming files and labels
are `receiver.counters`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from model_monitor import contracts
from model_monitor.config import Config

OTHERS = "(others)"
"""The features beyond the first ones, as one."""
QUALITY_CHECKS = ("missing", "out_of_range", "unseen")
RETIRED_AFTER = dt.timedelta(days=1)
"""A revision whose newest record is older, beside the model's, answers no more."""
OF_TODAY = {
    "model_drift_detected",
    "model_prediction_drift_detected",
    "model_data_quality_violation",
}
"""Families that alerts are made of, left out of a revision that answers no more."""

Values = dict[str, Any]
Sample = tuple[str, tuple[str, ...], float | None]
"""Family, label values in the contract's order, value (None: not shown)."""


@dataclass(frozen=True)
class Family:
    """One family of the contract."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...]


@dataclass
class CycleState:
    """State of the last cycles; one thread writes it, scrapes read it."""

    ended: float = 0.0
    """When the last one ended well, seconds since 1970."""
    duration: float = 0.0
    failures: int = 0
    computed: int = 0
    quarantined: int = 0
    now: dt.datetime | None = None
    """The last cycle's "now", which a clock of events took from the log."""


@cache
def families() -> dict[str, Family]:
    """Return the contract's families by name."""
    raw = yaml.safe_load((contracts.folder() / "monitor_metrics.yaml").read_text())
    return {
        name: Family(name, entry["kind"], entry["meaning"], tuple(entry["labels"]))
        for name, entry in raw["metrics"].items()
    }


class ResultsCollector(Collector):
    """Turns results into families when it is scraped.

    `results` gives the models' results as `figures.results.read` does.
    """

    def __init__(
        self,
        config: Config,
        results: Callable[[], Iterable[Values]],
        state: CycleState,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._config, self._results = config, results
        self._state, self._clock = state, clock

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = {
            it.name: GaugeMetricFamily(it.name, it.meaning, labels=it.labels)
            for it in families().values()
            if it.kind == "gauge"
        }
        for name, labels, value in self._samples():
            if value is not None:
                found[name].add_metric(labels, float(value))
        yield from (family for family in found.values() if family.samples)

    def describe(self) -> list[GaugeMetricFamily]:
        """Return nothing, so that a registry need not scrape to learn the names."""
        return []

    def _samples(self) -> Iterator[Sample]:
        state = self._state
        yield "monitor_cycle_timestamp_seconds", (), state.ended
        yield "monitor_cycle_duration_seconds", (), state.duration
        yield "monitor_cycle_failures", (), state.failures
        yield "monitor_cohorts_computed", (), state.computed
        yield "monitor_quarantined_files", (), state.quarantined
        all_results = list(self._results())
        now = self._now(all_results)
        for results in all_results:
            yield from _of_model(results, now)
            configured = self._config.model(results["model"])
            features = configured.drift.features if configured else 0
            for revision in results["revisions"]:
                # Results of an earlier program do not say so.
                if not revision.get("is_retired", False):
                    yield from _of_answers(results, revision, features)
                yield from _of_labels(results, revision)

    def _now(self, all_results: Iterable[Values]) -> dt.datetime | None:
        """By the wall clock, or that of the newest record.

        Results are there a moment before the end of their pass is known.
        """
        if self._config.clock == "wall":
            return self._clock()
        times = [dt.datetime.fromisoformat(it["now"]) for it in all_results]
        return max([*times, *filter(None, [self._state.now])], default=None)


def _of_model(results: Values, now: dt.datetime | None) -> Iterator[Sample]:
    model = (results["model"],)
    yield "model_review_overdue", model, results["review_is_overdue"]
    yield "monitor_reference_missing", model, results["reference_is_missing"]
    if results["newest"]:
        newest = dt.datetime.fromisoformat(results["newest"])
        yield "monitor_log_newest_timestamp_seconds", model, newest.timestamp()
        if now is not None:
            age = (now - newest).total_seconds()
            yield "monitor_log_stale", model, age > results["stale_seconds"]
    baselines = {
        it["metric"]: it["baseline"]
        for revision in results["revisions"]
        for window in revision["windows"].values()
        for it in window["judgements"]
    }
    for metric, baseline in baselines.items():
        yield "model_quality_baseline", (*model, metric), baseline


def _of_answers(results: Values, revision: Values, features: int) -> Iterator[Sample]:
    """Yield the metrics of a revision until it is retired."""
    key = (results["model"], revision["revision"])
    answers = _answers(results, revision)
    for sample in _of_drift(key, revision["drift"], features):
        if answers or sample[0] not in OF_TODAY:
            yield sample
    unapproved = answers and not revision["is_approved"]
    yield "model_unapproved_revision", key, unapproved


def _of_labels(results: Values, revision: Values) -> Iterator[Sample]:
    """Yield what needs labels, which come weeks later: also of a retired one."""
    key = (results["model"], revision["revision"])
    yield from _of_windows(key, revision["windows"])
    yield from _of_concept(key, revision["concept"])
    yield from _of_fairness(key, revision["fairness"])


def _answers(results: Values, revision: Values) -> bool:
    """Tell whether a revision has records of the model's last day of records.

    By the log, not by the clock: where the whole log is silent, nothing has changed.
    """
    newest = dt.datetime.fromisoformat(results["newest"])
    return newest - dt.datetime.fromisoformat(revision["newest"]) <= RETIRED_AFTER


def _of_windows(
    key: tuple[str, ...], windows: Mapping[str, Values]
) -> Iterator[Sample]:
    for name, window in windows.items():
        yield "model_labelled_predictions", (*key, name), window["labelled"]
        yield "model_label_coverage_ratio", (*key, name), window["coverage"]
        for metric, figure in window["metrics"].items():
            yield from _figure("model_quality", (*key, metric, name), figure)
        for it in window["judgements"]:
            if it["verdict"] in {"within", "below baseline"}:
                is_below = it["verdict"] == "below baseline"
                labels = (*key, it["metric"], name)
                yield "model_quality_below_baseline", labels, is_below


def _figure(family: str, labels: tuple[str, ...], figure: Values) -> Iterator[Sample]:
    yield family, labels, figure["value"]
    yield f"{family}_low", labels, figure["low"]
    yield f"{family}_high", labels, figure["high"]


def _of_drift(
    key: tuple[str, ...], drift: Values | None, most: int
) -> Iterator[Sample]:
    if drift is None:
        return
    features = drift["features"]
    shown = features[:most]
    if rest := features[most:]:
        shown = [*shown, _others(rest)]
    for it in shown:
        labels = (*key, it["feature"])
        yield "model_drift_effect", labels, it["effect"]
        yield "model_drift_adjusted_p_value", labels, it["adjusted_p"]
        yield "model_drift_detected", labels, it["persistent"]
        for check in QUALITY_CHECKS:
            violated = check in it["persistent_checks"]
            yield "model_data_quality_violation", (*labels, check), violated
    for it in drift["predictions"]:
        labels = (*key, it["feature"])
        yield "model_prediction_drift_effect", labels, it["effect"]
        yield "model_prediction_drift_detected", labels, it["persistent"]


def _others(features: list[Values]) -> Values:
    def defined(name: str) -> list[float]:
        return [it[name] for it in features if it[name] is not None]

    return {
        "feature": OTHERS,
        "effect": max(defined("effect"), default=None),
        "adjusted_p": min(defined("adjusted_p"), default=None),
        "persistent": any(it["persistent"] for it in features),
        "persistent_checks": {c for it in features for c in it["persistent_checks"]},
    }


def _of_concept(key: tuple[str, ...], concept: Values | None) -> Iterator[Sample]:
    if concept is not None:
        yield "model_concept_cusum", key, concept["statistic"]
        yield "model_concept_drift_detected", key, concept["detected"]


def _of_fairness(key: tuple[str, ...], fairness: list[Values]) -> Iterator[Sample]:
    for audit in fairness:
        for it in audit["metrics"]:
            labels = (*key, audit["attribute"], it["metric"])
            if it["figure"] is not None:
                yield from _figure("model_fairness", labels, it["figure"])
            if it["verdict"] in {"within limits", "outside limits"}:
                is_outside = it["verdict"] == "outside limits"
                yield "model_fairness_outside_limits", labels, is_outside
