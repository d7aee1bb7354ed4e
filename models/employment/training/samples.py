"""Real rows and the fitted scikit-learn model, for tests of a served model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from models.employment.training.data import Census, load


def rows(count: int, year: int, data: Path) -> Census:
    """`count` rows of a year, spread evenly over it: the same ones every time.

    `data` is the folder of downloads; ValueError if the year has fewer rows.
    """
    found = load(data).year(year)
    if not 0 < count <= len(found.labels):
        raise ValueError(f"{year} has {len(found.labels)} rows, {count} are asked for")
    chosen = np.zeros(len(found.labels), np.bool_)
    chosen[np.linspace(0, len(found.labels) - 1, count).astype(np.int64)] = True
    return found.of(chosen)


def fitted_model(folder: Path) -> Any:
    """The scikit-learn classifier that the model folder was exported from."""
    import joblib  # type: ignore[import-untyped]

    from models.employment.training.model_folder import sklearn_path

    return joblib.load(sklearn_path(folder))
