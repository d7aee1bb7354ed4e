"""Gates that compare cohorts of predictions, based on the model monitor's counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from components.setting_types import Decimal, Whole
from components.settings import ABSENT, Problem, Settings

Points = Annotated[Decimal, Field(gt=0, le=50)]
"""In percentage points."""
Seconds = Literal[
    10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400
]
DAY_SECONDS = 86_400
LabelHours = Annotated[Decimal, Field(gt=0, le=700)]
Value = Annotated[str, Field(min_length=1, max_length=200)]


class CohortSettings(Settings):
    """How predictions are grouped, and when their labels are complete."""

    interval_seconds: Seconds = 3600
    """Length of a cohort: it has the predictions of one interval of this length."""
    labels_within_hours: LabelHours | None = None
    """Time until labels arrive, in hours. A promotion uses only cohorts of at least
    this age; harm counts earlier. Required by gates that use labels."""
    counted_within_seconds: Annotated[Whole, Field(ge=10, le=86_400)] = 300
    """Time until a prediction is in the monitor's counts, in seconds: at most
    `prediction_log.file_seconds`, the way to the monitor, and one of its cycles."""
    min_coverage: Annotated[Decimal, Field(gt=0, le=1)] = 0.8
    """Minimum share of each revision's predictions that have a label. Below it nothing
    is promoted, because labels that arrive early are not a fair sample."""


class QualityGate(Settings):
    """Compares how many decisions the labels show to be wrong."""

    metric: Literal["accuracy", "recall", "precision"] = "accuracy"
    """Compared errors. accuracy: decisions that differ from their label; recall:
    positive labels without a positive decision; precision: positive decisions with
    another label. The last two are for binary models."""
    tolerate_points: Points
    """Percentage points by which the canary may be worse."""
    rollback_when: Literal["any_harm", "worse_than_tolerated"] = "worse_than_tolerated"
    """When the slow lane rolls the canary back: if it is worse at all, or only if the
    estimate is also beyond the tolerance."""


class FairnessGate(Settings):
    """Checks whether the canary is worse for a group of people than for all others."""

    attribute: Value
    """Protected attribute of the prediction log, one of
    `monitor.fairness.attributes`."""
    groups: Annotated[tuple[Value, ...], Field(min_length=1, max_length=10)]
    """Values of the attribute, as the log has them. Each value is a separate gate,
    compared with all others. Name both of two groups, so that the gap may widen for
    neither."""
    rate: Literal["selection", "true_positive"] = "selection"
    """Compared rate: the share of positive decisions, which needs no labels, or the
    share of positive decisions among the positive labels."""
    tolerate_points: Points
    """Percentage points by which the group's rate may fall more than the others'."""
    rollback_when: Literal["any_harm", "worse_than_tolerated"] = "worse_than_tolerated"
    """Same as in the quality gate."""
    min_group_rows: Annotated[Whole, Field(ge=50, le=10_000_000)] = 200
    """Minimum rows of the group for the canary before a promotion; with true_positive,
    only rows with a positive label count."""


class ScoresGate(Settings):
    """Compares the distribution of scores. It holds and never rolls the canary back."""

    tolerate_points: Points
    """Maximum difference in the share of scores above any of 0.1, 0.2 to 0.9. Beyond
    it, a person decides."""


class PairedDecisionsGate(Settings):
    """Bounds the share of decisions that change. It holds and never rolls back."""

    tolerate_points: Points
    """Maximum share of the pairs with two different decisions, in percent. It bounds
    how far the accuracies of the two revisions can differ, before any label is there.
    Beyond it, a person decides."""


class PairedScoresGate(Settings):
    """Bounds how many scores change. It holds and never rolls back."""

    above_points: Literal[1, 2, 5, 10, 20, 50]
    """Difference of two scores above which a pair counts, in percentage points."""
    tolerate_points: Points
    """Maximum share of the pairs whose scores differ by more, in percent. Beyond it, a
    person decides."""


class PairedAccuracyGate(Settings):
    """Compares which of the two revisions was right on the same request."""

    tolerate_points: Points
    """Percentage points by which the canary's accuracy may be worse."""
    rollback_when: Literal["any_harm", "worse_than_tolerated"] = "worse_than_tolerated"
    """Same as in the quality gate."""


class PairsGate(Settings):
    """Compares each copy's answer with its original's, in the shadow step."""

    decisions: PairedDecisionsGate | None = None
    """Decisions that change; not compared unless given."""
    scores: PairedScoresGate | None = None
    """Scores that change; not compared unless given."""
    accuracy: PairedAccuracyGate | None = None
    """Accuracy by the labels of the pairs; not compared unless given. Its pairs need
    `cohorts.min_coverage` of labels."""
    min_paired: Annotated[Decimal, Field(gt=0, le=1)] = 0.9
    """Minimum share of the copies whose original is in the log too (for scores: and
    that have two scores). Below it nothing is promoted."""

    @property
    def given(self) -> list[str]:
        """Names of the comparisons, each of which is a gate."""
        return [it for it in ("decisions", "scores", "accuracy") if getattr(self, it)]

    def contradictions(self) -> Iterator[Problem]:
        """A gate that compares nothing."""
        if not self.given:
            yield Problem(
                "decisions",
                ABSENT,
                "none of decisions, scores and accuracy is given, so no pair is "
                "compared",
                "give one of them, such as decisions: {tolerate_points: 10}",
            )
