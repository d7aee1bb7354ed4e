"""Content of one model's page, from the monitor's results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from model_console import charts, formats, verdicts
from model_console.charts import Baseline, Point
from model_console.charts.histogram import Bin, bins, shares
from model_console.figures import Day, FeatureDrift, Histogram, Results, Revision
from model_console.verdicts import Verdict

DRAWN_FEATURES = 12
ERRORS = ("mae", "bias")
"""Metrics that are worse the farther from 0 they are."""


@dataclass(frozen=True)
class BinRow:
    """A bin in the table beside a histogram."""

    bin: Bin
    reference: float
    current: float


@dataclass(frozen=True)
class FeatureView:
    """A feature's verdict with its chart, if it is drawn, and the chart's table."""

    drift: FeatureDrift
    verdict: Verdict
    chart: Markup | None = None
    rows: tuple[BinRow, ...] = ()


@dataclass(frozen=True)
class MetricChart:
    """A metric over time."""

    metric: str
    chart: Markup


@dataclass(frozen=True)
class ModelPage:
    """One revision of a model, and what all of its revisions have."""

    results: Results
    revision: Revision
    window_metrics: tuple[str, ...]
    history_metrics: tuple[str, ...]
    all_metrics: tuple[str, ...]
    quality: tuple[MetricChart, ...]
    coverage: Markup | None
    features: tuple[FeatureView, ...]
    predictions: tuple[FeatureView, ...]
    cusum: Markup | None
    chosen: str
    """The feature that is drawn alone; empty: the first ones."""

    @property
    def drawn(self) -> int:
        return sum(it.chart is not None for it in self.features)


def page(results: Results, revision: Revision, feature: str = "") -> ModelPage:
    """Return the page of a revision; `feature` chooses the one that is drawn."""
    history, concept = revision.history, revision.concept
    return ModelPage(
        results=results,
        revision=revision,
        window_metrics=_names(it.metrics for it in revision.windows.values()),
        history_metrics=_names(it.metrics for it in history),
        all_metrics=_names(
            window.metrics for it in results.revisions for window in it.windows.values()
        ),
        quality=tuple(_quality(revision)),
        coverage=_coverage(history),
        features=tuple(_features(revision, feature)),
        predictions=tuple(
            _view(it, f"prediction-{number}", verdicts.of_drift(it))
            for number, it in enumerate(revision.drift.predictions)
        )
        if revision.drift
        else (),
        cusum=charts.cusum("cusum", "Sum of deviations of the error rate", concept)
        if concept and concept.points
        else None,
        chosen=feature,
    )


def _names(found: Iterator[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for it in found for name in it))


def _quality(revision: Revision) -> Iterator[MetricChart]:
    """Yield a chart of every metric that has intervals; the table has the others."""
    judged = {
        it.metric: it
        for window in revision.windows.values()
        for it in window.judgements
    }
    names = _names(it.metrics for it in revision.history)
    for name in sorted(names, key=lambda it: it not in judged):
        points = list(_points(revision.history, name))
        if not any(it.low is not None for it in points):
            continue
        baseline = None
        if name in judged and (value := judged[name].baseline) is not None:
            margin = judged[name].margin
            limit = value + margin if name in ERRORS else value - margin
            baseline = Baseline(value, limit)
        title = f"{formats.metric(name)} by day"
        chart = charts.over_time(
            f"quality-{len(title)}-{names.index(name)}",
            title,
            points,
            baseline=baseline,
        )
        yield MetricChart(name, chart)


def _points(history: Sequence[Day], metric: str) -> Iterator[Point]:
    for day in history:
        if found := day.metrics.get(metric):
            yield Point(day.date, found.value, found.low, found.high, day.is_due)


def _coverage(history: Sequence[Day]) -> Markup | None:
    points = [
        Point(day.date, day.coverage, is_final=day.is_due)
        for day in history
        if day.coverage is not None
    ]
    if not points:
        return None
    title = "Share of predictions with a label, by day"
    return charts.over_time("coverage", title, points, whole=True)


def _features(revision: Revision, chosen: str) -> Iterator[FeatureView]:
    """Yield all features, those that drift most first; the first ones are drawn."""
    if revision.drift is None:
        return

    def place(it: FeatureDrift) -> tuple[bool, bool, float]:
        return not it.persistent, not it.detected, -(it.effect or 0.0)

    for number, it in enumerate(sorted(revision.drift.features, key=place)):
        verdict = verdicts.of_drift(it)
        if (it.feature == chosen) if chosen else number < DRAWN_FEATURES:
            yield _view(it, f"feature-{number}", verdict)
        else:
            yield FeatureView(it, verdict)


def _view(it: FeatureDrift, key: str, verdict: Verdict) -> FeatureView:
    if it.histogram is None or not bins(it.histogram):
        return FeatureView(it, verdict)
    title = f"{it.feature}: reference and newest day"
    chart = charts.histogram(key, title, it.histogram)
    return FeatureView(it, verdict, chart, tuple(_rows(it.histogram)))


def _rows(histogram: Histogram) -> Iterator[BinRow]:
    found = bins(histogram)
    for it, (reference, current) in zip(found, shares(found), strict=True):
        yield BinRow(it, reference, current)
