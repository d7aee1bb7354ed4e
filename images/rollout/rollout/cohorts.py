"""Gates of predictions by cohort: what is counted of the monitor's intervals.

A cohort is the predictions of one interval. Its labels come later, and count where the
prediction was made, for both revisions alike: a comparison of the labels that arrive
would favour whichever revision has served for longer (docs/rollout-gates.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

SCORE_CUTS = ("0.01", "0.02", "0.05", "0.1", "0.2", "0.5")
"""Differences of two scores of a pair above which the monitor counts pairs."""
SHIPPED_SECONDS = 300
"""After which a prediction has come to the monitor, and was counted there; unless the
settings say how long it takes."""


class What(StrEnum):
    """The counted value, for the predictions of one revision and interval."""

    ACCURACY = "accuracy"
    """Bad: a decision that is not the label; of those with a label."""
    RECALL = "recall"
    """Bad: a positive label that was not decided; of the positive labels."""
    PRECISION = "precision"
    """Bad: a positive decision with another label; of the positive decisions with a
    label."""
    SELECTION = "selection"
    """Bad: a negative decision; of a group, beside all others."""
    TRUE_POSITIVE = "true_positive"
    """Bad: a positive label that was not decided; of a group, beside all others."""
    SCORES = "scores"
    """No good and bad: how scores are spread."""
    PAIRED_DECISIONS = "paired_decisions"
    """Bad: a copy's decision that is not its original's; of the pairs."""
    PAIRED_SCORES = "paired_scores"
    """Bad: a copy's score that is further from its original's than `above`; of the
    pairs with scores."""
    PAIRED_ACCURACY = "paired_accuracy"
    """Bad: a pair of which this revision alone is wrong; of the pairs with a label."""

    @property
    def is_gap(self) -> bool:
        """Return whether a group of people is compared with the others."""
        return self in (What.SELECTION, What.TRUE_POSITIVE)

    @property
    def needs_labels(self) -> bool:
        return self not in (
            What.SELECTION,
            What.SCORES,
            What.PAIRED_DECISIONS,
            What.PAIRED_SCORES,
        )

    @property
    def is_paired(self) -> bool:
        """Return whether copies are compared with their originals."""
        return self in (
            What.PAIRED_DECISIONS,
            What.PAIRED_SCORES,
            What.PAIRED_ACCURACY,
        )


@dataclass(frozen=True)
class Cohorts:
    """Source of a gate's counts, if it is not the gateway."""

    what: What
    model: str
    """The model's name in the monitor."""
    interval_seconds: int
    labels_seconds: int = 0
    """Age at which an interval has its labels; 0 where none are needed."""
    attribute: str = ""
    group: str = ""
    least_rows: int = 0
    """Rows of the canary before a promotion: of a group, which is smaller."""
    above: str = ""
    """Difference of two scores that is tolerated; one of SCORE_CUTS."""
    shipped_seconds: int = SHIPPED_SECONDS
    min_paired: str = ""
    """Share of the due copies that must have their original's answer, where the gate's
    own coverage is that of labels; empty: not asked for."""

    def due(self, now: int) -> int:
        """Start (Unix seconds) of the first interval that a promotion may not use."""
        length = self.interval_seconds
        last = now - max(self.labels_seconds, self.shipped_seconds) - length
        return max(0, last // length * length + length)

    def plain(self) -> dict[str, Any]:
        found = asdict(self)
        # Without what is usual, settings of before keep their digest.
        usual = {"above": "", "shipped_seconds": SHIPPED_SECONDS, "min_paired": ""}
        return {name: it for name, it in found.items() if it != usual.get(name, ...)}

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Cohorts:
        """Parse the result of `plain`; KeyError, TypeError or ValueError otherwise."""
        found = cls(**dict(raw) | {"what": What(raw["what"])})
        times = (found.interval_seconds, found.labels_seconds, found.shipped_seconds)
        for number in (*times, found.least_rows):
            if type(number) is not int or number < 0:
                raise ValueError(f"{number!r} in cohorts is no whole number")
        return found

    def problems(self, path: str, *, min_coverage: float) -> Iterator[str]:
        if self.interval_seconds < 10:
            yield f"{path}.interval_seconds: {self.interval_seconds}: give at least 10"
        if self.what.needs_labels and not (self.labels_seconds and min_coverage):
            yield f"{path}: needs labels; say when they are there, and how many"
        if self.what.is_gap and not (self.attribute and self.group):
            yield f"{path}: compares a group; name it"
        if (self.what is What.PAIRED_SCORES) != (self.above in SCORE_CUTS):
            cuts = ", ".join(SCORE_CUTS)
            yield f"{path}.above: {self.above!r}: paired_scores needs one of {cuts}"
        if self.what.is_paired and not min_coverage:
            yield f"{path}: compares pairs; say how many of the copies must be paired"
        if self.min_paired and not 0 < float(self.min_paired) <= 1:
            yield f"{path}.min_paired: {self.min_paired}: give a share up to 1"


@dataclass(frozen=True)
class Scores:
    """Predictions by score, in bins of equal width, of one interval."""

    start: int
    canary: tuple[int, ...]
    stable: tuple[int, ...]

    @property
    def plain(self) -> list[Any]:
        return [self.start, [*self.canary], [*self.stable]]

    @classmethod
    def of(cls, raw: list[Any]) -> Scores:
        start, canary, stable = raw
        return cls(int(start), tuple(canary), tuple(stable))
