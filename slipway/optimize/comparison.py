"""Two models' answers to the same labelled rows, compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipway.optimize.rows import Rows
from slipway.optimize.scoring import Answers
from slipway.optimize.statistics import (
    Flags,
    Interval,
    accuracy_change,
    stability_index,
)
from toolchain.errors import WrongInputError

ALL = "all rows"


@dataclass(frozen=True)
class Change:
    """The change of accuracy on one part of the rows."""

    rows: int
    accuracy: Interval


@dataclass(frozen=True)
class Comparison:
    """Differences between the results of two models, run in the same manner."""

    changes: Mapping[str, Change]
    """By part: all rows, and each protected group as NAME=VALUE."""
    accuracy: float
    """Accuracy of the second model, on all rows."""
    labels_changed: float
    """The share of rows."""
    stability_index: float | None
    """Largest of the output's columns; None if the model gives no score."""
    difference: float | None
    """The largest of any row's score."""


def compare(before: Answers, after: Answers, rows: Rows) -> Comparison:
    right = [_equal(it.decisions, rows.labels) for it in (before, after)]
    parts: dict[str, Flags] = {ALL: np.ones(len(rows.labels), np.bool_)}
    for name, values in rows.groups.items():
        for value in np.unique(values):
            parts[f"{name}={value}"] = values == value
    changes = {
        name: Change(int(chosen.sum()), accuracy_change(*(it[chosen] for it in right)))
        for name, chosen in parts.items()
    }
    index = difference = None
    if before.scores is not None and after.scores is not None:
        columns = zip(before.scores.T, after.scores.T, strict=True)
        index = max(stability_index(*pair) for pair in columns)
        difference = float(np.abs(after.scores - before.scores).max())
    return Comparison(
        changes=changes,
        accuracy=float(right[1].mean()),
        labels_changed=float((before.decisions != after.decisions).mean()),
        stability_index=index,
        difference=difference,
    )


def _equal(decisions: NDArray[np.generic], labels: NDArray[np.generic]) -> Flags:
    found: Flags = np.asarray(decisions == labels, np.bool_)
    return found


def labels_like(labels: NDArray[Any], decisions: NDArray[Any]) -> NDArray[Any]:
    """Labels in the type of a model's decisions.

    WrongInputError if no label is a decision that the model has made: then they are
    others' labels, or another coding of them.
    """
    is_text = decisions.dtype.kind in "US"
    if is_text or labels.dtype.kind in "biuf":
        found = labels.astype(str if is_text else np.float64)
        if np.isin(found, decisions).any():
            return found
    shown = (", ".join(map(str, np.unique(it)[:5])) for it in (labels, decisions))
    raise WrongInputError(
        "no label is a decision of the model: labels are {}, decisions {}; give the "
        "column with the truth as --label".format(*shown)
    )
