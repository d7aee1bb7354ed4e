"""The results about a model: the content of `results/<model>.json`.

The console and the metrics read nothing else. Days are dates in UTC (2026-11-29), times
RFC 3339. An optional value is null where it is undefined. A field may be added; one
that is renamed or means something else gives `SCHEMA` a new number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from model_monitor.statistics.intervals import Interval

SCHEMA = 1


class Verdict(StrEnum):
    """The verdict of a window on a metric."""

    NOT_ENOUGH_LABELS = "not enough labels"
    COVERAGE_TOO_LOW = "coverage too low"
    UNDEFINED = "undefined"
    WITHIN = "within"
    BELOW = "below baseline"


@dataclass(frozen=True)
class Figure:
    """A value and, where there is one, its 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, interval: Interval | None) -> Figure | None:
        if interval is None:
            return None
        return cls(interval.value, interval.low, interval.high)


@dataclass(frozen=True)
class Judgement:
    """A metric of a window against its baseline.

    "below baseline" means worse, even at the better end of the interval, than the
    baseline and margin allow; of errors (mae, bias) that is above it.
    """

    metric: str
    baseline: float | None
    margin: float
    verdict: Verdict


@dataclass(frozen=True)
class Window:
    """Quality over the days from `start` up to but without `end`."""

    start: str
    end: str
    answered: int
    refused: int
    labelled: int
    coverage: float | None
    """Share of the answered rows that have a label."""
    metrics: Mapping[str, Figure] = field(default_factory=dict)
    judgements: tuple[Judgement, ...] = ()


@dataclass(frozen=True)
class Histogram:
    """Rows by bin of the reference, and those of the day that drift was judged on.

    A bin holds its lower edge, the last one both; `edges` has one value more than there
    are bins and is empty of categories. Values outside of all bins, and categories that
    the reference does not have, are counted together and not named.
    """

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
    """One feature, or the score or decision, on the newest day that was judged.

    `effect` is the share of rows that lie elsewhere than in the reference (total
    variation, corrected for chance). `persistent`: on
    enough of the last days. `checks` are the ones that found something: values,
    missing, out_of_range or unseen; `persistent_checks` those that did on enough days.
    The last three are of more such rows than in the reference: fewer are drift alone.
    `histogram` shows the counts that the verdict on `Drift.day` was made from.
    """

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
    """Days that persistence was judged from."""
    features: tuple[FeatureDrift, ...]
    predictions: tuple[FeatureDrift, ...]
    """Of `score` and `decision`: what can be seen before labels come."""


@dataclass(frozen=True)
class ConceptPoint:
    """The larger sum at the batch that ends with `day`; an alarm then resets both."""

    day: str
    statistic: float


@dataclass(frozen=True)
class Concept:
    """CUSUM of the error rate, in its deviations from the baseline's.

    `statistic` is the larger sum at the newest batch; `alarms` are the last days of the
    batches at which a sum passed `limit`. `detected`: an alarm in the last week of due
    days, and an error rate in it that is above the baseline by `floor` or more.
    """

    baseline: float
    limit: float
    floor: float
    statistic: float
    alarms: tuple[str, ...]
    error: float | None
    """Error rate of the last week of due days."""
    detected: bool
    points: tuple[ConceptPoint, ...] = ()
    """Every batch, in order of time."""


@dataclass(frozen=True)
class Attribution:
    """One feature's importance: the mean change of the score when it is permuted."""

    feature: str
    figure: Figure
    share: float
    """Of the sum over all features."""
    reference: Figure | None
    """Over the first days of the revision."""
    loss: Figure | None
    """By how much the loss grows; of the newest day whose labels are in."""


@dataclass(frozen=True)
class Attributions:
    """What predictions depend on, by a sample of the newest day that was attributed.

    `detected`: the order of the features is another than on the first days
    (`reference_days`), by NDCG below the floor and a p-value below alpha. `persistent`:
    on enough of `days`.
    """

    day: str
    rows: int
    outcome: str
    """score, or decision where the model has no score."""
    filled: tuple[str, ...]
    """Inputs that are not logged: drawn from the reference, and not attributed."""
    features: tuple[Attribution, ...]
    """The most important first."""
    reference_days: tuple[str, ...]
    """Empty while there are too few days."""
    days: tuple[str, ...]
    ndcg: float | None
    rank_correlation: float | None
    p: float | None
    detected: bool
    persistent: bool


@dataclass(frozen=True)
class Group:
    """One group of an attribute; rates are null of no rows."""

    name: str
    rows: int
    labelled: int
    selection: Figure | None
    true_positive: Figure | None
    false_positive: Figure | None
    accuracy: Figure | None
    positives: int = 0
    """Of the labelled rows: what the true-positive rate is of."""
    negatives: int = 0
    """The same of the false-positive rate."""


@dataclass(frozen=True)
class FairnessMetric:
    """A comparison of all groups with enough rows.

    verdict: "not enough data", "undefined", "within limits" or "outside limits".
    """

    metric: str
    figure: Figure | None
    limit: float
    verdict: str


@dataclass(frozen=True)
class Fairness:
    """One protected attribute: 30 days before `end`, selection rates before now."""

    attribute: str
    end: str
    groups: tuple[Group, ...]
    metrics: tuple[FairnessMetric, ...]
    min_group: int = 0
    """Rows that a group needs to be compared, and shown outside of the store."""


@dataclass(frozen=True)
class Day:
    """One day of the history, in short."""

    date: str
    answered: int
    refused: int
    labelled: int
    is_due: bool
    metrics: Mapping[str, Figure]
    drifted: tuple[str, ...]
    """Features that drifted on this day."""
    largest_effect: float | None
    prediction_drifted: bool


@dataclass(frozen=True)
class Revision:
    """All results of one revision."""

    revision: str
    is_approved: bool
    newest: str
    arms: Mapping[str, int]
    """Rows answered in the last 30 days, by arm."""
    windows: Mapping[str, Window]
    """"1d", "7d" and "30d": days that are due, the newest last."""
    drift: Drift | None
    concept: Concept | None
    fairness: tuple[Fairness, ...]
    history: tuple[Day, ...]
    attributions: Attributions | None = None
    days_without_attributions: int | None = None
    """Of the last week, those with enough rows; None of what is not attributed: the
    job has the revision in the model's folder alone."""
    is_retired: bool = False
    """Whether others have answered instead for so long that no alert is about what it
    does. What needs labels is judged all the same: they come weeks after it."""


@dataclass(frozen=True)
class Results:
    """All that is known of one model at `now`."""

    model: str
    task: str
    now: str
    newest: str
    """Time of the newest record; empty without records."""
    stale_seconds: float
    review_by: str | None
    review_is_overdue: bool
    problems: tuple[str, ...]
    """What could not be done, such as a reference that cannot be read."""
    reference_is_missing: bool
    revisions: tuple[Revision, ...]
    """The newest first; only those that may have rows in a window, now or when due."""
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def content(self) -> bytes:
        return json.dumps(self.to_json(), indent=1, allow_nan=False).encode() + b"\n"


def read(path: Path) -> dict[str, Any] | None:
    """Return a model's results as plain values; None if there are none to read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        return None
    return found
