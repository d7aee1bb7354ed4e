"""Responses of the monitor's API (images/model_monitor: `api/`, `figures/results.py`).

Days are dates in UTC (2026-11-29), times RFC 3339.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A value and, where there is one, its 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Judgement:
    """A metric of a window against its baseline."""

    metric: str
    baseline: float | None
    margin: float
    verdict: str


@dataclass(frozen=True)
class Window:
    """Quality over the days from `start` up to but without `end`."""

    start: str
    end: str
    answered: int
    refused: int
    labelled: int
    coverage: float | None
    metrics: Mapping[str, Figure | None]
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True)
class Histogram:
    """Rows by bin: `edges` of numbers, one more than bins, or `categories`."""

    edges: tuple[float, ...]
    categories: tuple[str, ...]
    reference: tuple[int, ...]
    current: tuple[int, ...]
    reference_missing: int = 0
    missing: int = 0
    below: int = 0
    above: int = 0
    unseen: int = 0


@dataclass(frozen=True)
class FeatureDrift:
    """One feature, or the score or decision, on the newest day that was judged."""

    feature: str
    rows: int
    effect: float | None
    adjusted_p: float | None
    detected: bool
    persistent: bool
    reason: str
    checks: tuple[str, ...] = ()
    persistent_checks: tuple[str, ...] = ()
    histogram: Histogram | None = None


@dataclass(frozen=True)
class Drift:
    """Drift of one day against the reference, and over the last days together."""

    day: str
    days: tuple[str, ...]
    features: tuple[FeatureDrift, ...]
    predictions: tuple[FeatureDrift, ...]


@dataclass(frozen=True)
class ConceptPoint:
    """The larger sum at the batch that ends with `day`."""

    day: str
    statistic: float


@dataclass(frozen=True)
class Concept:
    """CUSUM of the error rate."""

    baseline: float
    limit: float
    floor: float
    statistic: float
    alarms: tuple[str, ...]
    error: float | None
    detected: bool
    points: tuple[ConceptPoint, ...] = ()


@dataclass(frozen=True)
class Group:
    """One group of a protected attribute; null where too few have labels."""

    name: str
    rows: int
    labelled: int | None
    selection: Figure | None
    true_positive: Figure | None
    false_positive: Figure | None
    accuracy: Figure | None


@dataclass(frozen=True)
class FairnessMetric:
    """A comparison of all groups with enough rows."""

    metric: str
    figure: Figure | None
    limit: float
    verdict: str


@dataclass(frozen=True)
class Fairness:
    """One protected attribute."""

    attribute: str
    end: str
    groups: tuple[Group, ...]
    metrics: tuple[FairnessMetric, ...]
    min_group: int = 0
    groups_withheld: int = 0


@dataclass(frozen=True)
class Day:
    """One day of the history, in short."""

    date: str
    answered: int
    refused: int
    labelled: int
    is_due: bool
    metrics: Mapping[str, Figure | None]
    drifted: tuple[str, ...]
    prediction_drifted: bool

    @property
    def coverage(self) -> float | None:
        return self.labelled / self.answered if self.answered else None


@dataclass(frozen=True)
class Attribution:
    """How much predictions change when the values of one feature are permuted.

    `reference` is that of the revision's first days, `loss` by how much the loss grows.
    """

    feature: str
    figure: Figure
    share: float
    reference: Figure | None
    loss: Figure | None


@dataclass(frozen=True)
class Attributions:
    """Attributions of one day's predictions; the most important feature first."""

    day: str
    rows: int
    outcome: str
    filled: tuple[str, ...]
    features: tuple[Attribution, ...]
    reference_days: tuple[str, ...]
    ndcg: float | None
    p: float | None
    detected: bool
    persistent: bool


@dataclass(frozen=True)
class Revision:
    """All results of one revision."""

    revision: str
    is_approved: bool
    newest: str
    arms: Mapping[str, int]
    windows: Mapping[str, Window]
    drift: Drift | None
    concept: Concept | None
    fairness: tuple[Fairness, ...]
    history: tuple[Day, ...]
    attributions: Attributions | None = None
    days_without_attributions: int | None = None
    """Number in the last week; null if no job attributes the model."""


@dataclass(frozen=True)
class Results:
    """All that is known of one model at `now`."""

    model: str
    task: str
    now: str
    newest: str
    review_by: str | None
    review_is_overdue: bool
    problems: tuple[str, ...]
    reference_is_missing: bool
    revisions: tuple[Revision, ...]


@dataclass(frozen=True)
class ModelAnswer:
    """The answer about one model; null before its first results."""

    model: str
    results: Results | None


@dataclass(frozen=True)
class Outside:
    """A comparison of groups beyond its limit."""

    attribute: str
    metric: str


@dataclass(frozen=True)
class RevisionSummary:
    """One revision in the list of all models."""

    revision: str
    is_approved: bool
    newest: str
    windows: Mapping[str, Window]
    drifted: tuple[str, ...]
    predictions_drifted: tuple[str, ...]
    drift_day: str | None
    concept_drifted: bool | None
    fairness_outside: tuple[Outside, ...]


@dataclass(frozen=True)
class ResultsSummary:
    """One model in the list of all."""

    now: str
    newest: str
    is_stale: bool
    problems: int
    review_by: str | None
    review_is_overdue: bool
    reference_is_missing: bool
    revisions: tuple[RevisionSummary, ...]


@dataclass(frozen=True)
class ModelSummary:
    """A model of the monitor's configuration; null before its first results."""

    model: str
    task: str
    results: ResultsSummary | None


@dataclass(frozen=True)
class CycleState:
    """The monitor's last pass that ended well; null before the first."""

    ended: str | None
    failures: int
    quarantined_files: int = 0


@dataclass(frozen=True)
class ModelsAnswer:
    """Every model."""

    cycle: CycleState
    models: tuple[ModelSummary, ...]


@dataclass(frozen=True)
class AuditEntry:
    """One entry; null but for `problem` if its line is none."""

    sequence: int | None
    time: str | None
    actor: str | None
    action: str | None
    details: object
    problem: str | None = None


@dataclass(frozen=True)
class Head:
    """The newest entry."""

    sequence: int
    hash: str


@dataclass(frozen=True)
class Break:
    """The first place where the chain is not as it was written."""

    line: int
    what: str
    reason: str


@dataclass(frozen=True)
class Verification:
    """Whether the whole chain is intact."""

    is_intact: bool
    entries: int
    checked: str
    head: Head | None
    broken: Break | None


@dataclass(frozen=True)
class AuditAnswer:
    """The newest entries first."""

    entries: tuple[AuditEntry, ...]
    verification: Verification | None
