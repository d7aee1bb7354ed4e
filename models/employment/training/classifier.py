"""Fitting and judging the classifier."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models.employment.training.data import Census


@dataclass(frozen=True)
class Metrics:
    """Quality on the rows of one year; the positive class is "employed"."""

    rows: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    auc: float

    def rounded(self) -> dict[str, float]:
        return {key: round(value, 4) for key, value in asdict(self).items()}


def fit(rows: Census, parameters: dict[str, Any]) -> HistGradientBoostingClassifier:
    """A gradient-boosted classifier of `rows`, the same for any number of cores."""
    model = HistGradientBoostingClassifier(**parameters)
    # Sums over rows are split by thread, so more threads would round differently.
    with threadpool_limits(1):
        return model.fit(rows.features, rows.labels)


def evaluate(scores: npt.NDArray[np.floating], labels: npt.NDArray[Any]) -> Metrics:
    """Metrics of the scores of the positive class at threshold one half."""
    decided = scores > 0.5
    true = labels == 1
    hit = int((decided & true).sum())
    precision = hit / max(int(decided.sum()), 1)
    recall = hit / max(int(true.sum()), 1)
    return Metrics(
        rows=len(labels),
        accuracy=float((decided == true).mean()),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / max(precision + recall, 1e-12),
        auc=float(roc_auc_score(labels, scores)),
    )
