"""Quality by cohort and window: which days count, and when a window says anything."""

from __future__ import annotations

import datetime as dt
import random

import numpy as np
import pytest
from model_monitor.config import Model, Quality
from model_monitor.counts.counts import STEPS, Counts, Losses
from model_monitor.counts.plan import Task
from model_monitor.counts.reference import Reference
from model_monitor.figures import quality
from model_monitor.figures.results import Verdict
from model_monitor.statistics.regression import Errors
from sklearn import metrics as sklearn_metrics

from tests.support.monitor_cohorts import cohort, confused, days, only, results

FIRST = dt.date(2026, 11, 1)
ACCURACY = Quality("accuracy", 0.8, 0.02)
MODEL = Model("m", label_horizon_days=2, quality=(ACCURACY,))


def at(day: int, hour: int = 0) -> dt.datetime:
    """A time so many days after midnight of the first day."""
    start = dt.datetime.combine(FIRST, dt.time(hour), dt.UTC)
    return start + dt.timedelta(days=day)


def test_a_day_counts_when_the_horizon_of_its_last_hour_has_passed() -> None:
    found = [cohort(FIRST, confused(1, 0, 0, 1))]
    early = only(results(MODEL, found, at(2, 23)))
    assert early.windows["1d"].answered == 0
    assert early.windows["1d"].coverage is None
    assert not early.history[0].is_due
    due = only(results(MODEL, found, at(3)))
    assert due.windows["1d"].answered == 2
    assert (due.windows["1d"].start, due.windows["1d"].end) == (
        "2026-11-01",
        "2026-11-02",
    )
    assert due.history[0].is_due
    # A day later the newest due day is the next one, of which there is nothing.
    late = only(results(MODEL, found, at(4)))
    assert late.windows["1d"].answered == 0
    assert late.windows["7d"].answered == 2


def test_windows_add_up_their_days() -> None:
    found = [
        cohort(day, confused(60 + number, 10, 5, 20, unlabelled=number))
        for number, day in enumerate(days(FIRST, 40))
    ]
    windows = only(results(MODEL, found, at(42))).windows
    for name, length in (("1d", 1), ("7d", 7), ("30d", 30)):
        chosen = range(40 - length, 40)
        right, labelled = sum(80 + it for it in chosen), sum(95 + it for it in chosen)
        answered = labelled + sum(chosen)
        window = windows[name]
        assert window.metrics["accuracy"].value == pytest.approx(right / labelled)
        assert (window.answered, window.labelled) == (answered, labelled)
        assert window.coverage == pytest.approx(labelled / answered)


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        # 299 labels are not enough, whatever they say.
        (confused(0, 149, 150, 0), Verdict.NOT_ENOUGH_LABELS),
        (confused(0, 150, 150, 0, unlabelled=80), Verdict.COVERAGE_TOO_LOW),
        (confused(0, 150, 150, 0, unlabelled=75), Verdict.BELOW),
        # .75 of 400: the interval's upper end, .790, is above .78.
        (confused(150, 50, 50, 150), Verdict.WITHIN),
        # .75 of 4,000: .763 is below it.
        (confused(1500, 500, 500, 1500), Verdict.BELOW),
        (confused(1800, 200, 200, 1800), Verdict.WITHIN),
    ],
)
def test_verdicts(counts: Counts, verdict: Verdict) -> None:
    window = only(results(MODEL, [cohort(FIRST, counts)], at(3))).windows["1d"]
    (judgement,) = window.judgements
    assert judgement.verdict is verdict
    assert judgement.baseline == 0.8


def test_a_label_delay_does_not_look_like_good_quality() -> None:
    """Positives are known after days, negatives at the horizon: monitoring.md 2d."""
    model = Model("m", label_horizon_days=30, quality=(ACCURACY,), min_coverage=0.5)
    # On day 7 only labels of positives are there: precision would read 1.
    early = confused(300, 0, 40, 0, unlabelled=660)
    revision = only(results(model, [cohort(FIRST, early)], at(7)))
    assert all(window.labelled == 0 for window in revision.windows.values())
    late = confused(300, 172, 40, 488)
    revision = only(results(model, [cohort(FIRST, late)], at(31)))
    precision = revision.windows["1d"].metrics["precision"].value
    assert precision == pytest.approx(300 / 472)


@pytest.mark.parametrize(
    ("baselines", "verdict"),
    [({"accuracy": 0.8}, Verdict.BELOW), ({}, Verdict.UNDEFINED)],
)
def test_the_baseline_may_be_the_models_own(
    baselines: dict[str, float], verdict: Verdict
) -> None:
    model = Model("m", label_horizon_days=2, quality=(Quality("accuracy"),))
    found = [cohort(FIRST, confused(150, 150, 150, 150))]
    revision = only(results(model, found, at(3), Reference(metrics=baselines)))
    (judgement,) = revision.windows["1d"].judgements
    assert judgement.verdict is verdict
    assert judgement.baseline == baselines.get("accuracy")


def test_metrics_of_two_classes_are_those_of_scikit_learn() -> None:
    chance = np.random.default_rng(3)
    scores = np.round(chance.random(3000), 5)
    labels = (chance.random(3000) < scores**2).astype(int)
    decisions = (scores > 0.5).astype(int)
    counts = Counts(answered=3000, labelled=3000)
    counts.scored = np.zeros((2, STEPS + 1), np.int64)
    for decision, label, score in zip(decisions, labels, scores, strict=True):
        counts.confusion[str(decision), str(label)] += 1
        counts.scored[label, round(score * STEPS)] += 1
    counts.losses = Losses(
        3000,
        float(((scores - labels) ** 2).sum()),
        float(-np.log(np.where(labels == 1, scores, 1 - scores)).sum()),
    )
    found = quality.metrics(counts, Task.BINARY, "1")
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(labels, decisions),
        "precision": sklearn_metrics.precision_score(labels, decisions),
        "recall": sklearn_metrics.recall_score(labels, decisions),
        "f1": sklearn_metrics.f1_score(labels, decisions),
        "auc": sklearn_metrics.roc_auc_score(labels, scores),
        "brier": sklearn_metrics.brier_score_loss(labels, scores),
        "log_loss": sklearn_metrics.log_loss(labels, scores),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=1e-9), name
    assert set(found) == {*expected, "calibration_error"}
    # Scores were squared to make the labels: E|s - s^2| = 1/6.
    assert found["calibration_error"].value == pytest.approx(1 / 6, abs=0.02)


def test_metrics_of_several_classes_are_those_of_scikit_learn() -> None:
    chance = random.Random(5)
    pairs = [(chance.choice("abc"), chance.choice("aabbc")) for _ in range(500)]
    counts = Counts(answered=500, labelled=500)
    counts.confusion.update(pairs)
    found = quality.metrics(counts, Task.MULTICLASS, "1")
    decisions, labels = zip(*pairs, strict=True)
    expected = sklearn_metrics.classification_report(
        labels, decisions, output_dict=True
    )
    macro = expected["macro avg"]
    assert found["accuracy"].value == pytest.approx(expected["accuracy"])
    assert found["macro_precision"].value == pytest.approx(macro["precision"])
    assert found["macro_recall"].value == pytest.approx(macro["recall"])
    assert found["macro_f1"].value == pytest.approx(macro["f1-score"])


@pytest.mark.parametrize(
    ("metric", "error", "verdict"),
    [
        ("mae", 1.5, Verdict.BELOW),
        ("mae", 1.2, Verdict.WITHIN),
        ("bias", -1.5, Verdict.BELOW),
        ("bias", 1.5, Verdict.BELOW),
        ("bias", 0.9, Verdict.WITHIN),
    ],
)
def test_of_errors_the_smaller_is_the_better(
    metric: str, error: float, verdict: Verdict
) -> None:
    """Baseline 1 and margin .2; the errors have a standard deviation of about .5."""
    values = np.random.default_rng(1).normal(error, 0.5, 1000)
    values += error - values.mean()
    model = Model(
        "m",
        task=Task.REGRESSION,
        label_horizon_days=0,
        quality=(Quality(metric, 1.0, 0.2),),
    )
    counts = Counts(answered=1000, labelled=1000)
    counts.errors = Errors(
        1000,
        float(values.sum()),
        float(np.abs(values).sum()),
        float((values**2).sum()),
    )
    revision = only(results(model, [cohort(FIRST, counts)], at(1)))
    (judgement,) = revision.windows["1d"].judgements
    assert judgement.verdict is verdict


def test_of_a_model_without_labels_all_is_undefined() -> None:
    assert quality.metrics(Counts(answered=5), Task.BINARY, "1") == {}
    assert quality.metrics(Counts(answered=5), Task.MULTICLASS, "1") == {}
    assert quality.metrics(Counts(answered=5), Task.REGRESSION, "1") == {}
