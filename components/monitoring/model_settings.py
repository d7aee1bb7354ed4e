"""Monitoring of one model; the defaults are those of docs/how-to/monitoring.md."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from components.monitoring.attribution_settings import Attributions
from components.setting_types import Decimal, Whole
from components.settings import Problem, Settings

METRICS: dict[str, tuple[str, ...]] = {
    "binary": ("accuracy", "precision", "recall", "f1", "auc"),
    "multiclass": ("accuracy", "macro_precision", "macro_recall", "macro_f1"),
    "regression": ("mae", "bias"),
}
"""Metrics that an alert can be about, by task: those that have an interval."""

FeatureName = Annotated[str, Field(min_length=1, max_length=200)]


class Quality(Settings):
    """A metric, and the condition under which the model counts as worse."""

    metric: str
    """Metric of the alert (all are measured). Binary models: accuracy, precision,
    recall, f1 or auc; several classes: accuracy, macro_precision, macro_recall or
    macro_f1; regression: mae or bias."""
    baseline: Decimal | None = None
    """Expected value. Default: that of the model's test data."""
    margin: Annotated[Decimal, Field(ge=0)] = 0.02
    """The alert fires when the whole 95 % interval is worse than the baseline by more
    than this."""


class Drift(Settings):
    """When inputs or predictions count as changed."""

    alpha: Annotated[Decimal, Field(gt=0, le=0.5)] = 0.01
    """False discovery rate over all features (Benjamini and Hochberg)."""
    effect_floor: Annotated[Decimal, Field(ge=0, lt=1)] = 0.05
    """Minimum effect: share of rows whose distribution differs from the reference.
    Smaller differences are ignored even if significant."""
    share_floor: Annotated[Decimal, Field(ge=0, le=1)] = 0.01
    """Minimum increase of the share of missing, unseen or out-of-range values."""
    min_rows: Annotated[Whole, Field(ge=30, le=10_000_000)] = 100
    """Minimum rows of a day; days with fewer are not evaluated."""
    needed_days: Annotated[Whole, Field(ge=1, le=30)] = 2
    """Number of the last of_days days on which a difference must be detected."""
    of_days: Annotated[Whole, Field(ge=1, le=30)] = 3
    """Number of days that needed_days refers to."""
    features: Annotated[Whole, Field(ge=1, le=1000)] = 50
    """Maximum number of features with their own metrics; the others share one."""

    def contradictions(self) -> Iterator[Problem]:
        """More days with a difference than days."""
        if self.needed_days > self.of_days:
            yield Problem(
                "needed_days",
                self.needed_days,
                f"only of_days = {self.of_days} are looked at",
                f"give at most {self.of_days}, or raise of_days",
            )


class Fairness(Settings):
    """Which groups are compared, by protected attributes of the prediction log."""

    attributes: Annotated[tuple[FeatureName, ...], Field(min_length=1, max_length=20)]
    """Attributes that model.yaml lists in `log.protected`."""
    min_group_rows: Annotated[Whole, Field(ge=10, le=10_000_000)] = 100
    """Minimum rows of a group; smaller groups are reported as "not enough data"."""
    ratio_floor: Annotated[Decimal, Field(gt=0, lt=1)] = 0.8
    """Minimum ratio of a group's selection rate to the highest one: the four-fifths
    rule. It is violated when the whole interval is below."""
    difference_limit: Annotated[Decimal, Field(gt=0, le=1)] = 0.1
    """Maximum difference of true and false positive rates between groups."""


class Concept(Settings):
    """When the relation between inputs and labels counts as changed.

    A CUSUM of the daily error rate, in standard deviations.
    """

    k: Annotated[Decimal, Field(gt=0, le=5)] = 0.5
    """Allowance per day."""
    h: Annotated[Decimal, Field(gt=0, le=50)] = 5.0
    """Limit; 5 gives one false alarm in 465 days."""
    floor: Annotated[Decimal, Field(ge=0, lt=1)] = 0.02
    """Minimum difference of the error rate from the baseline; smaller ones are ignored
    even if significant."""


class ModelMonitoring(Settings):
    """What the monitor does for one model (docs/how-to/monitoring.md)."""

    task: Literal["binary", "multiclass", "regression"] = "binary"
    """What the model predicts."""
    high_risk: bool = False
    """Whether the model is used in a high-risk AI system (EU AI Act). Its logs must be
    kept for at least six months: monitor.retention_days of at least 190, and
    monitor.storage."""
    positive: Annotated[str, Field(min_length=1)] = "1"
    """Positive class of a binary model, for precision, recall and selection rates."""
    label_horizon_days: Annotated[Whole, Field(ge=0, le=3650)] = 30
    """Age in days at which predictions are evaluated: by then their labels have
    arrived."""
    label_wait_days: Annotated[Whole, Field(ge=0, le=3650)] = 7
    """How long a label that arrives before its prediction is kept. A label names no
    model, so the longest value of the stack's models applies to all."""
    retire_after_days: Annotated[Whole, Field(ge=1, le=3650)] = 7
    """A revision is retired when its newest prediction is this much older than the
    model's: its results stay, its metrics and alerts end. Quality, concept drift and
    fairness, which need labels, are monitored until label_horizon_days + 30 days after
    it."""
    min_labels: Annotated[Whole, Field(ge=30, le=10_000_000)] = 300
    """Minimum number of labels for an alert."""
    min_coverage: Annotated[Decimal, Field(gt=0, le=1)] = 0.8
    """Minimum share of predictions with a label: labels that arrive early are not a
    representative sample."""
    stale_seconds: Annotated[Whole, Field(ge=10, le=31_536_000)] = 3600
    """Age of the newest record at which the log counts as stale while requests
    arrive."""
    quality: Annotated[tuple[Quality, ...], Field(max_length=10)] = ()
    """Metrics with an alert; without it, quality is measured but there is no alert."""
    drift: Drift = Field(default={}, validate_default=True)
    """When inputs or predictions count as changed."""
    fairness: Fairness | None = None
    """Which groups are compared."""
    concept: Concept = Field(default={}, validate_default=True)
    """When the relation between inputs and labels counts as changed."""
    attributions: Attributions | None = None
    """What predictions depend on; not measured unless given, `{}` for the defaults."""
    review_by: dt.date | None = None
    """Day by which the model is reviewed or retired; an alert fires after it."""
    approved_revisions: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Approved revisions, as the log names them; default: all."""

    def contradictions(self) -> Iterator[Problem]:
        """Metrics that the task does not have, or twice."""
        known = METRICS[self.task]
        names = [one.metric for one in self.quality]
        for number, name in enumerate(names):
            if name not in known:
                yield Problem(
                    f"quality.{number}.metric",
                    name,
                    f"a model with task: {self.task} has no alert on it",
                    f"give one of {', '.join(known)}",
                )
            elif name in names[:number]:
                yield Problem(
                    f"quality.{number}.metric",
                    name,
                    "it is given twice",
                    "keep one of them",
                )
        if self.fairness and self.task != "binary":
            yield Problem(
                "fairness",
                sorted(self.fairness.model_fields_set),
                f"groups are compared for task: binary, not {self.task}",
                "remove fairness",
            )
