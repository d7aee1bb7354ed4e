"""The plan of an experiment, as the command line passes it: JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from model_monitor.experiments.sequential import Spending

DAY = 86_400


class PlanError(ValueError):
    """The text is not a plan of an experiment."""


class Rule(StrEnum):
    """The test that decides."""

    ALWAYS_VALID = "always_valid"
    GROUP_SEQUENTIAL = "group_sequential"


class Unit(StrEnum):
    """The unit that is assigned to an arm, and counted once."""

    CALLER = "caller"
    REQUEST = "request"


class Kind(StrEnum):
    """The value that a row of the log contributes to a metric."""

    ACCURACY = "accuracy"
    """1 if the decision is the label."""
    LABEL_MEAN = "label_mean"
    """The label as a number: revenue, or 1 for a purchase."""
    ABSOLUTE_ERROR = "absolute_error"
    """Distance of the decision from the label, both numbers."""
    POSITIVE_RATE = "positive_rate"
    """1 if the decision is `positive`."""
    SCORE_MEAN = "score_mean"
    """The score."""


LABELLED = (Kind.ACCURACY, Kind.LABEL_MEAN, Kind.ABSOLUTE_ERROR)


@dataclass(frozen=True)
class Metric:
    """One metric; `better` is "higher" or "lower"."""

    kind: Kind
    better: str
    positive: str = ""
    labels_within_seconds: int = 0
    """A label counts if it became known so soon after the prediction; 0: no labels."""

    @property
    def name(self) -> str:
        return f"{self.kind} of {self.positive}" if self.positive else str(self.kind)


@dataclass(frozen=True)
class Plan:
    """One experiment; times are Unix seconds, and effects in the metric's unit."""

    model: str
    control: str
    treatment: str
    share: float
    """Share of the treatment, by design."""
    unit: Unit
    metrics: tuple[Metric, ...]
    """The first decides; the others are shown."""
    rule: Rule
    spending: Spending
    alpha: float
    power: float
    smallest: float
    """The smallest effect that matters."""
    planned_units: int
    """Units of both arms; 0 if the rule needs no plan."""
    least_units: int
    """Minimum units of each arm before an analysis decides."""
    covariate_days: int
    """Days before the start from which the covariate is taken; 0: none."""
    started: int
    until: int
    """End of the predictions that count: now, or when the shares last changed."""
    now: int


def read(text: str) -> Plan:
    """The plan of a JSON text; PlanError says what is wrong."""
    try:
        raw = json.loads(text)
        return _plan(raw)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PlanError(f"not a plan of an experiment: {error!r}") from error


def _plan(raw: Mapping[str, Any]) -> Plan:
    metrics = tuple(
        Metric(
            Kind(it["kind"]),
            str(it["better"]),
            str(it["positive"]),
            int(it["labels_within_seconds"]),
        )
        for it in raw["metrics"]
    )
    found = Plan(
        **dict(raw)
        | {
            "metrics": metrics,
            "unit": Unit(raw["unit"]),
            "rule": Rule(raw["rule"]),
            "spending": Spending(raw["spending"]),
        }
    )
    if not metrics or found.control == found.treatment or not 0 < found.share < 1:
        raise ValueError("metrics, revisions or share")
    return found
