"""A model's results for rows: the difference of two results, and the error of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from model_server.manifest import Manifest

Floats = npt.NDArray[np.float64]

REGRESSION, BINARY = "regression", "binary"


@dataclass(frozen=True)
class Answers:
    """Score (rows, classes) and decision (rows) of rows; None where there is none."""

    score: Floats | None
    decision: npt.NDArray[Any] | None


@dataclass(frozen=True)
class Outcomes:
    """Reads a model's outputs by model.yaml and the task."""

    manifest: Manifest
    task: str
    positive: str

    @property
    def name(self) -> str:
        """What changes are measured of: score, or decision without a score."""
        return "score" if self.manifest.score else "decision"

    def answers(self, arrays: Sequence[npt.NDArray[Any]]) -> Answers:
        """Return the answers in the arrays of a run, one for each output."""
        names = [it.name for it in self.manifest.outputs]
        score = decision = None
        if self.manifest.score:
            found = np.asarray(arrays[names.index(self.manifest.score)], np.float64)
            found = found.reshape(len(found), -1)
            # With two classes, the log has the second's score: 1 minus the first's.
            score = found[:, 1:] if found.shape[1] == 2 else found
        if self.manifest.decision:
            decision = arrays[names.index(self.manifest.decision)]
            decision = decision.reshape(len(decision), -1)[:, 0]
        return Answers(score, decision)

    def differences(self, one: Answers, other: Answers) -> Floats:
        """Return by how much the answers to each row differ."""
        if one.score is not None and other.score is not None:
            change = np.abs(one.score - other.score)
            classes = change.shape[1]
            return np.asarray(change.sum(axis=1) / (2 if classes > 1 else 1))
        if one.decision is None or other.decision is None:
            raise ValueError("the model names neither a score nor a decision")
        if self.task == REGRESSION:
            numbers = one.decision.astype(np.float64), other.decision.astype(np.float64)
            return np.asarray(np.abs(numbers[0] - numbers[1]))
        return np.asarray(one.decision != other.decision, np.float64)

    @property
    def loss(self) -> str | None:
        """Name of the loss that labels are compared by; None without any."""
        if self.task == BINARY and self.manifest.score:
            return "brier"
        if not self.manifest.decision:
            return None
        return "mae" if self.task == REGRESSION else "error_rate"

    def losses(self, answers: Answers, labels: Sequence[str | None]) -> Floats:
        """Return the loss of each row; NaN where there is no label, or no number."""
        known = np.array([it is not None for it in labels])
        if self.loss == "brier" and answers.score is not None:
            truth = np.array([float(it == self.positive) for it in labels])
            found = (answers.score[:, -1] - truth) ** 2
        elif self.loss == "mae" and answers.decision is not None:
            truth = np.array([_number(it) for it in labels])
            found = np.abs(answers.decision.astype(np.float64) - truth)
        elif answers.decision is not None:
            said = map(text, answers.decision.tolist())
            found = np.array([float(a != b) for a, b in zip(said, labels, strict=True)])
        else:
            found = np.full(len(labels), np.nan)
        return np.where(known, found, np.nan)


def text(value: object) -> str:
    """Return a value as the log and labels have it: whole numbers without a point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def _number(label: str | None) -> float:
    try:
        return float(label) if label is not None else float("nan")
    except ValueError:
        return float("nan")
