"""Quality of decisions by their labels, compared with the baseline."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from model_monitor.config import Model, Quality
from model_monitor.counts.counts import STEPS, Counts, Scored
from model_monitor.counts.plan import Task
from model_monitor.figures.results import Figure, Judgement, Verdict, Window
from model_monitor.statistics import scores
from model_monitor.statistics.confusion import Confusion
from model_monitor.statistics.intervals import Interval

BEST_IS_ZERO = ("mae", "bias")


def metrics(counts: Counts, task: Task, positive: str) -> dict[str, Figure]:
    """Return all metrics that are defined, by name."""
    if task is Task.REGRESSION:
        found = _of_numbers(counts)
    else:
        confusion = Confusion(counts.confusion)
        found = {"accuracy": _figure(confusion.accuracy())}
        if task is Task.BINARY:
            found |= {
                "precision": _figure(confusion.precision(positive)),
                "recall": _figure(confusion.recall(positive)),
                "f1": _figure(confusion.f1(positive)),
                **_of_scores(counts),
            }
        else:
            found |= {
                "macro_precision": _figure(confusion.macro_precision()),
                "macro_recall": _figure(confusion.macro_recall()),
                "macro_f1": _figure(confusion.macro_f1()),
            }
    return {name: figure for name, figure in found.items() if figure is not None}


def window(
    counts: Counts,
    start: str,
    end: str,
    model: Model,
    of_reference: Mapping[str, float],
) -> Window:
    """Return the quality of due days; `of_reference` are the model's own metrics."""
    coverage = counts.labelled / counts.answered if counts.answered else None
    found = metrics(counts, model.task, model.positive)
    return Window(
        start=start,
        end=end,
        answered=counts.answered,
        refused=counts.refused.total(),
        labelled=counts.labelled,
        coverage=coverage,
        metrics=found,
        judgements=tuple(
            _judge(quality, found.get(quality.metric), counts, model, of_reference)
            for quality in model.quality
        ),
    )


def _judge(
    quality: Quality,
    figure: Figure | None,
    counts: Counts,
    model: Model,
    of_reference: Mapping[str, float],
) -> Judgement:
    baseline = quality.baseline
    if baseline == "reference":
        known = of_reference.get(quality.metric)
    else:
        known = float(baseline)
    if counts.labelled < model.min_labels:
        verdict = Verdict.NOT_ENOUGH_LABELS
    elif counts.labelled < model.min_coverage * counts.answered:
        verdict = Verdict.COVERAGE_TOO_LOW
    elif known is None or figure is None or figure.low is None or figure.high is None:
        verdict = Verdict.UNDEFINED
    else:
        is_worse = (
            _nearest_zero(figure.low, figure.high) > known + quality.margin
            if quality.metric in BEST_IS_ZERO
            else figure.high < known - quality.margin
        )
        verdict = Verdict.BELOW if is_worse else Verdict.WITHIN
    return Judgement(quality.metric, known, quality.margin, verdict)


def _nearest_zero(low: float, high: float) -> float:
    return 0.0 if low <= 0 <= high else min(abs(low), abs(high))


def _of_scores(counts: Counts) -> dict[str, Figure | None]:
    if counts.scored is None or not counts.losses.n:
        return {}
    values, negatives, positives = grouped(counts.scored)
    n = counts.losses.n
    calibration = scores.calibration(values, negatives, positives)
    return {
        "auc": _figure(scores.auc_interval(values, negatives, positives)),
        "brier": Figure(counts.losses.brier / n),
        "log_loss": Figure(counts.losses.log_loss / n),
        "calibration_error": Figure(calibration.expected_error)
        if calibration
        else None,
    }


def grouped(scored: Scored) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the scores that occur, and the negative and positive rows of each."""
    (steps,) = np.nonzero(scored.any(axis=0))
    negatives, positives = scored[:, steps]
    return steps / STEPS, negatives, positives


def _of_numbers(counts: Counts) -> dict[str, Figure | None]:
    errors = counts.errors
    return {
        "mae": _figure(errors.mae_interval()),
        "bias": _figure(errors.bias_interval()),
        "rmse": None if errors.rmse is None else Figure(errors.rmse),
        "r2": None if errors.r2 is None else Figure(errors.r2),
    }


def _figure(interval: Interval | None) -> Figure | None:
    return Figure.of(interval)
