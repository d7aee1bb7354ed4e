"""Statistics of the training year that a monitor compares production with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.employment.training.config import Configuration, Feature
from models.employment.training.data import Census

SCORE_BINS = 20
AGE_BIN_WIDTH = 5
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def _histogram(values: npt.NDArray[Any], edges: list[float]) -> dict[str, Any]:
    counts, _ = np.histogram(values, bins=np.asarray(edges))
    return {"edges": edges, "counts": counts.tolist()}


def _quantiles(values: npt.NDArray[Any]) -> dict[str, float]:
    # inverted_cdf: a value that occurs, the same in any library.
    found = np.quantile(values, QUANTILES, method="inverted_cdf")
    return {str(q): round(float(v), 6) for q, v in zip(QUANTILES, found, strict=True)}


def _counts(values: npt.NDArray[Any]) -> dict[str, int]:
    codes, counts = np.unique(values.astype(np.int64), return_counts=True)
    return {str(k): int(n) for k, n in zip(codes, counts, strict=True)}


def _feature(feature: Feature, column: npt.NDArray[np.float32]) -> dict[str, Any]:
    if feature.kind == "category":
        return {"kind": feature.kind, "categories": _counts(column)}
    stop = feature.maximum + 1 + AGE_BIN_WIDTH
    edges = [float(e) for e in range(feature.minimum, stop, AGE_BIN_WIDTH)]
    return {
        "kind": feature.kind,
        "mean": round(float(column.mean(dtype=np.float64)), 6),
        "deviation": round(float(column.std(dtype=np.float64)), 6),
        "quantiles": _quantiles(column),
        "histogram": _histogram(column, edges),
    }


def _group(
    mask: npt.NDArray[np.bool_], decided: npt.NDArray[np.bool_], true: Any
) -> dict[str, int]:
    decided, true = decided[mask], true[mask]
    return {
        "rows": int(mask.sum()),
        "predicted_positive": int(decided.sum()),
        "labelled_positive": int(true.sum()),
        "true_positive": int((decided & true).sum()),
    }


def _example(rows: Census, scores: npt.NDArray[np.floating]) -> list[float]:
    """A real row: the employed person whose score is the median of all employed."""
    employed = np.flatnonzero(rows.labels == 1)
    order = np.argsort(scores[employed], kind="stable")
    return [float(v) for v in rows.features[employed[order[len(order) // 2]]]]


def statistics(
    rows: Census, scores: npt.NDArray[np.floating], config: Configuration
) -> dict[str, Any]:
    """Distributions of features, score and decision; counts by protected group."""
    decided, true = scores > 0.5, rows.labels == 1
    groups: dict[str, dict[str, dict[str, int]]] = {}
    features: dict[str, Any] = {}
    for index, feature in enumerate(config.features):
        column = rows.features[:, index]
        features[feature.name] = _feature(feature, column)
        if feature.protected:
            groups[feature.name] = {
                str(int(code)): _group(column == code, decided, true)
                for code in np.unique(column)
            }
    edges = [round(i / SCORE_BINS, 4) for i in range(SCORE_BINS + 1)]
    return {
        "rows": len(rows.labels),
        "year": config.data.training_year,
        "features": features,
        "score": {
            "mean": round(float(scores.mean(dtype=np.float64)), 6),
            "quantiles": _quantiles(scores),
            "histogram": _histogram(scores, edges),
        },
        "decision": _counts(decided),
        "label": _counts(true),
        "groups": groups,
        "example": _example(rows, scores),
    }
