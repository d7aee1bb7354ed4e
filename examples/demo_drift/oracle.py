"""The same figures by scikit-learn and numpy, from the answers that came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from examples.demo_drift.served import Answer

EXACT = 1e-9
AUC_TOLERANCE = 1e-5
"""The monitor keeps scores in steps of 1e-5."""
METRICS = ("accuracy", "precision", "recall", "f1", "auc")


@dataclass(frozen=True)
class Judged:
    """Decisions with what is true, and the groups of protected attributes."""

    decisions: NDArray[np.int64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    groups: Mapping[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, answers: Sequence[Answer], columns: Mapping[str, int]) -> Judged:
        """Join answers; `columns` are those of the protected attributes."""
        features = np.concatenate([it.batch.rows.features for it in answers])
        return cls(
            np.concatenate([it.decisions for it in answers]),
            np.concatenate([it.scores for it in answers]),
            np.concatenate([it.batch.rows.labels for it in answers]),
            {
                name: features[:, column].astype(np.int64)
                for name, column in columns.items()
            },
        )


def quality(judged: Judged) -> dict[str, float]:
    """Return scikit-learn's metrics; the positive class is 1."""
    from sklearn import metrics  # a second or more, which `--help` need not wait for

    true, decided = judged.labels, judged.decisions
    return {
        "accuracy": float(metrics.accuracy_score(true, decided)),
        "precision": float(metrics.precision_score(true, decided)),
        "recall": float(metrics.recall_score(true, decided)),
        "f1": float(metrics.f1_score(true, decided)),
        "auc": float(metrics.roc_auc_score(true, judged.scores)),
    }


def tolerance(metric: str) -> float:
    return AUC_TOLERANCE if metric == "auc" else EXACT


def fairness(judged: Judged, attribute: str, min_group: int) -> dict[str, float]:
    """Return the comparisons of groups with enough rows; none with fewer than two.

    Equalized odds compare groups with enough rows of the label that a rate is of.
    """
    groups = judged.groups[attribute]
    everyone = np.ones(len(judged), np.bool_)
    selected = _rates(judged, groups, everyone, min_group)
    found: dict[str, float] = {}
    if len(selected) > 1:
        low, high = min(selected), max(selected)
        found["demographic_parity_ratio"] = low / high if high else np.nan
        found["demographic_parity_difference"] = high - low
    spreads = []
    for label in (0, 1):
        rates = _rates(judged, groups, judged.labels == label, min_group)
        if len(rates) > 1:
            spreads.append(max(rates) - min(rates))
    if len(spreads) == 2:
        found["equalized_odds_difference"] = max(spreads)
    return found


def _rates(
    judged: Judged,
    groups: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    min_group: int,
) -> list[float]:
    """Return the share of decisions for 1 among the chosen rows, by group."""
    found = []
    for group in np.unique(groups):
        of_group = chosen & (groups == group)
        if of_group.sum() >= min_group:
            found.append(float((judged.decisions[of_group] == 1).mean()))
    return found
