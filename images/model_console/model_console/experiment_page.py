"""Content of a rollout's page about the experiment that it carries out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from model_console import charts
from model_console.charts import Closing
from model_console.experiments import Experiment, Look, Metric, Report, ReportAnswer

MOST_METRICS, MOST_LOOKS, MOST_ARMS = 10, 100, 10
"""The monitor gives less; a page has no more, whatever it is given."""


@dataclass(frozen=True)
class MetricView:
    """A metric at its newest look, with the chart of all, and the chart's table."""

    metric: Metric
    newest: Look | None
    chart: Markup | None
    rows: tuple[tuple[int, Look], ...]
    """With the looks' numbers, the newest first."""


@dataclass(frozen=True)
class ExperimentPage:
    """An experiment, and its report or why there is none."""

    experiment: Experiment
    answer: ReportAnswer | None
    """None: the monitor has not responded, or does not report this experiment."""
    metrics: tuple[MetricView, ...]

    @property
    def report(self) -> Report | None:
        return self.answer.report if self.answer else None

    @property
    def why_not(self) -> str:
        """Why there is no report, or no newer one; empty if there is nothing to say."""
        if self.experiment.uncounted:
            return self.experiment.uncounted
        return self.answer.reason if self.answer else ""

    @property
    def arms(self) -> str:
        """Units of each arm, in the command's words."""
        units = self.report.units if self.report else {}
        found = [f"{name} {n}" for name, n in [*units.items()][:MOST_ARMS]]
        return ", ".join(found)


def page(experiment: Experiment, answer: object) -> ExperimentPage:
    """`answer`: the monitor's answer; anything but a report counts as no report."""
    found = answer if isinstance(answer, ReportAnswer) else None
    metrics: tuple[MetricView, ...] = ()
    if found and found.report:
        metrics = tuple(_metrics(experiment, found.report))
    return ExperimentPage(experiment, found, metrics)


def _metrics(experiment: Experiment, report: Report) -> Iterator[MetricView]:
    for number, metric in enumerate(report.metrics[:MOST_METRICS]):
        looks = [*enumerate(metric.looks, 1)][-MOST_LOOKS:]
        drawn = [
            Closing(f"look {place}", look.difference, look.low, look.high)
            for place, look in looks
            if look.difference is not None
        ]
        chart = None
        if drawn:
            smallest = experiment.plan.smallest
            chart = charts.closing(
                f"metric-{number}",
                f"{metric.name}: treatment less control",
                drawn,
                # Only what decides was planned with a smallest effect.
                margin=(smallest if metric.better == "higher" else -smallest)
                if metric.decides
                else None,
                words="looks",
                limit="Smallest effect that matters",
            )
        newest = metric.looks[-1] if metric.looks else None
        yield MetricView(metric, newest, chart, tuple(looks[::-1]))
