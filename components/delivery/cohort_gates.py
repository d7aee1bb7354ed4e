"""Gates that compare cohorts of predictions, by the model monitor's counts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.setting_types import Decimal, Whole
from components.settings import Settings

Points = Annotated[Decimal, Field(gt=0, le=50)]
"""Percentage points."""
Seconds = Literal[60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]
DAY_SECONDS = 86_400
LabelHours = Annotated[Decimal, Field(gt=0, le=700)]
Value = Annotated[str, Field(min_length=1, max_length=200)]


class CohortSettings(Settings):
    """How predictions are put together, and when their labels are there."""

    interval_seconds: Seconds = 3600
    """A cohort is the predictions of one interval of this length."""
    labels_within_hours: LabelHours | None = None
    """How long labels take. A promotion rests on cohorts that are so old; harm counts
    earlier. Required by gates of labels."""
    min_coverage: Annotated[Decimal, Field(gt=0, le=1)] = 0.8
    """Least share of the predictions with a label, of each revision: below it nothing
    is promoted, since labels that come early are not a fair sample."""


class QualityGate(Settings):
    """Decisions that the labels show to be wrong."""

    metric: Literal["accuracy", "recall", "precision"] = "accuracy"
    """What is compared: decisions unlike their label; positive labels that were not
    decided; or positive decisions with another label. The last two are of binary
    models."""
    tolerate_points: Points
    """By how many percentage points the canary may be worse."""
    rollback_when: Literal["any_harm", "worse_than_tolerated"] = "worse_than_tolerated"
    """What the slow lane proves before it takes the canary back: that it is worse at
    all, or also that the estimate is beyond what is tolerated."""


class FairnessGate(Settings):
    """A group of people for whom the canary is worse than for all others."""

    attribute: Value
    """Protected attribute of the prediction log, of `monitor.fairness.attributes`."""
    groups: Annotated[tuple[Value, ...], Field(min_length=1, max_length=10)]
    """Its values, as the log has them. Each is a gate of its own, compared with all
    others: name both of two groups, so that the gap may widen for neither."""
    rate: Literal["selection", "true_positive"] = "selection"
    """What is compared: the share of positive decisions, which needs no labels, or the
    share of positive decisions among the positive labels."""
    tolerate_points: Points
    """By how many percentage points the group's rate may fall more than the others'."""
    rollback_when: Literal["any_harm", "worse_than_tolerated"] = "worse_than_tolerated"
    """As of quality."""
    min_group_rows: Annotated[Whole, Field(ge=50, le=10_000_000)] = 200
    """Rows of the group that the canary has before a promotion; of true_positive, those
    with a positive label."""


class ScoresGate(Settings):
    """Scores that are spread otherwise. It holds and never takes the canary back."""

    tolerate_points: Points
    """Most that the share of scores above any of 0.1, 0.2 to 0.9 may differ; beyond it,
    a person decides."""
