"""Settings of an A/B experiment with two revisions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from components.delivery.settings import Gates, RolloutSettings
from components.serving.settings import header_names
from components.serving.settings.revisions import WHOLE, RevisionName
from components.setting_types import Decimal, Whole
from components.settings import ABSENT, Problem, Settings, refuse

SALTS = 4
"""Headers that the gateway sets for salts; each salt selects some of them."""
MOST_SALT = 2**SALTS - 1
MOST_DAYS = 30
"""The rollout controller's longest deadline."""
FULL = 99
"""A weight that needs a person's approval, so the controller never continues from the
experiment's share by itself."""
LABELLED = ("accuracy", "label_mean", "absolute_error")
_HEADER = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_SHARES = ("accuracy", "positive_rate")


def salt_header(number: int) -> str:
    """Return the name of a header that the gateway sets to a constant value."""
    return f"x-experiment-salt-{number}"


def _header(name: str) -> str:
    if not _HEADER.fullmatch(name):
        refuse(
            "not a name of a header in lower case",
            "give the header that names the caller, such as x-user-id",
        )
    if why := header_names.meaning(name):
        refuse(
            f"it cannot name the caller at the time of the choice: {why}",
            "give a header of your own that callers send, such as x-user-id",
        )
    return name


class Assignment(Settings):
    """How callers are assigned to a revision: by the gateway's hash of a header."""

    header: Annotated[str, AfterValidator(_header)]
    """Header that identifies the caller, in lower case. Requests without it do not
    count. Without a salt they are assigned at random; with one they all go to the same
    revision and replica."""
    salt: Annotated[Whole, Field(ge=0, le=MOST_SALT)] = 0
    """Salt that the gateway hashes together with the header, so that experiments divide
    callers independently. 0: none. Other salts need `gateway.experiment_salts` in the
    platform stack, and callers that always send the header."""


class Metric(Settings):
    """A compared metric: a mean over rows of the prediction log."""

    kind: Literal[
        "accuracy", "label_mean", "absolute_error", "positive_rate", "score_mean"
    ]
    """accuracy: the decision equals the label; label_mean: the label as a number;
    absolute_error: the distance between decision and label; positive_rate: the decision
    is `positive`; score_mean: the score."""
    better: Literal["higher", "lower"] | None = None
    """Direction of an improvement; default: lower for absolute_error, otherwise
    higher."""
    positive: Annotated[str, Field(max_length=100)] = ""
    """Decision that positive_rate counts."""
    labels_within_hours: Annotated[Decimal | None, Field(gt=0, le=720)] = None
    """Maximum time from a prediction to its label, in hours. A prediction counts once
    this time has passed. Required with labels."""

    def contradictions(self) -> Iterator[Problem]:
        """Report settings that this kind requires or does not use."""
        if self.kind in LABELLED and self.labels_within_hours is None:
            yield Problem(
                "labels_within_hours",
                ABSENT,
                "it is required: predictions of both revisions must have had the same "
                "time for their labels",
                "give a time within which nearly all labels become known",
            )
        if self.kind not in LABELLED and self.labels_within_hours is not None:
            yield Problem(
                "labels_within_hours",
                self.labels_within_hours,
                f"{self.kind} needs no labels",
                "remove it",
            )
        if bool(self.positive) != (self.kind == "positive_rate"):
            yield Problem(
                "positive",
                self.positive or ABSENT,
                "positive_rate needs it, and no other kind reads it",
                "give the decision to be counted with positive_rate, else remove it",
            )

    def plain(self) -> dict[str, Any]:
        """Return what the monitor reads (model_monitor/experiments/plan.py)."""
        usual = "lower" if self.kind == "absolute_error" else "higher"
        return {
            "kind": self.kind,
            "better": self.better or usual,
            "positive": self.positive,
            "labels_within_seconds": round((self.labels_within_hours or 0) * 3600),
        }


class ExperimentSettings(Settings):
    """Two revisions share the callers for a time; a metric shows which is better."""

    control: RevisionName
    """Revision that the other one is compared with."""
    shares: dict[RevisionName, Annotated[Whole, Field(ge=10, le=90)]]
    """Percent of the callers for the control and for one other revision."""
    assign_by: Assignment | None = None
    """How callers stay on a revision. Without it each request is assigned at random."""
    unit: Literal["caller", "request"]
    """Unit of the analysis, which must be the unit of assignment: caller with
    `assign_by`, otherwise request."""
    metric: Metric
    """Metric that decides the experiment."""
    also: Annotated[tuple[Metric, ...], Field(max_length=5)] = ()
    """Additional metrics that are reported and decide nothing."""
    minimum_effect: Annotated[Decimal, Field(gt=0)]
    """Smallest difference that matters, in the metric's unit: 0.01 is one point of
    accuracy."""
    rule: Literal["always_valid", "group_sequential"]
    """always_valid: results may be read and acted on at any time. group_sequential: one
    analysis each day until `planned_units`; needs fewer units."""
    spending: Literal["obrien_fleming", "pocock"] | None = None
    """With group_sequential: how early the error may be spent; default:
    obrien_fleming."""
    planned_units: Annotated[Whole | None, Field(ge=100)] = None
    """Units of both revisions after which a group-sequential experiment ends."""
    alpha: Annotated[Decimal, Field(gt=0, le=0.2)] = 0.05
    """Probability of finding a difference between equal revisions, over all
    analyses."""
    power: Annotated[Decimal, Field(ge=0.5, lt=1)] = 0.8
    """Probability of finding `minimum_effect`. The report derives the number of
    required units from it."""
    least_units: Annotated[Whole, Field(ge=20, le=1_000_000)] = 100
    """Minimum units of each revision before an analysis decides."""
    covariate_days: Annotated[Whole, Field(ge=0, le=60)] = 0
    """Days before the start whose mean score of each caller under the control reduces
    the variance (CUPED); 0: none."""
    days: Annotated[Whole, Field(ge=1, le=MOST_DAYS)]
    """Days after which the control gets all requests, unless the experiment was
    concluded."""
    gates: Gates = Gates()
    """Harm at the gateway that ends the experiment immediately
    (docs/rollout-gates.md)."""
    interval_seconds: Annotated[Whole, Field(ge=10, le=3600)] = 300
    """Length of the gates' intervals."""

    @property
    def treatment(self) -> str:
        """Return the other revision; the control's name if there is none."""
        return next((it for it in self.shares if it != self.control), self.control)

    def places(self) -> list[tuple[str, Metric]]:
        """Return all metrics with their paths; the deciding one is first."""
        also = ((f"also.{number}", it) for number, it in enumerate(self.also))
        return [("metric", self.metric), *also]

    def contradictions(self) -> Iterator[Problem]:
        """Report invalid shares, units that are not assigned, and endless analyses."""
        found = [*self._shares(), *self._units(), *self._ends(), *self._gates()]
        yield from found
        if not found:
            yield from self._intervals()

    def _shares(self) -> Iterator[Problem]:
        if len(self.shares) != 2 or self.control not in self.shares:
            yield Problem(
                "shares",
                dict(self.shares),
                f"it must name {self.control}, which is the control, and one other "
                "revision",
                "give the shares of these two",
            )
        elif (total := sum(self.shares.values())) != WHOLE:
            yield Problem(
                "shares",
                dict(self.shares),
                f"they add up to {total} percent; another total moves callers between "
                "revisions when a share changes",
                f"make them add up to {WHOLE}",
            )

    def _units(self) -> Iterator[Problem]:
        if self.unit == "request" and self.assign_by:
            yield Problem(
                "unit",
                self.unit,
                f"revisions are assigned by {self.assign_by.header}: requests of one "
                "caller are alike, and counted one by one they find differences that "
                "are not there",
                "set unit: caller, or remove assign_by",
            )
        if self.unit == "caller" and not self.assign_by:
            yield Problem(
                "unit",
                self.unit,
                "each request is drawn at random, so callers meet both revisions",
                "give assign_by, or set unit: request",
            )
        if self.covariate_days and self.unit == "request":
            yield Problem(
                "covariate_days",
                self.covariate_days,
                "a request has no earlier score",
                "remove it, or assign callers",
            )

    def _ends(self) -> Iterator[Problem]:
        planned = self.rule == "group_sequential"
        if planned and self.planned_units is None:
            yield Problem(
                "planned_units",
                ABSENT,
                "it is required: the error is spent by the share of the planned units",
                "give the units of both revisions after which the experiment ends",
            )
        if not planned and self.planned_units is not None:
            yield Problem(
                "planned_units",
                self.planned_units,
                "an always-valid test has no planned end",
                "remove it, or set rule: group_sequential",
            )
        if not planned and self.spending:
            yield Problem(
                "spending",
                self.spending,
                "an always-valid test spends no error by looks",
                "remove it, or set rule: group_sequential",
            )
        if self.metric.kind in _SHARES and self.minimum_effect >= 1:
            yield Problem(
                "minimum_effect",
                self.minimum_effect,
                f"{self.metric.kind} is a share of 1",
                "give 0.01 for one percentage point",
            )
        for place, metric in self.places():
            hours = metric.labels_within_hours or 0
            if hours + 24 > self.days * 24:
                yield Problem(
                    f"{place}.labels_within_hours",
                    hours,
                    f"the labels of the first day are complete after {hours + 24:g} "
                    f"hours, and the experiment ends after {self.days * 24}",
                    "give more days, or a shorter time for labels",
                )

    def _gates(self) -> Iterator[Problem]:
        """Report gates that read the monitor: they would wait forever for it."""
        for name in self.gates.cohorts:
            yield Problem(
                f"gates.{name}",
                "(given)",
                "the monitor counts no intervals for an experiment, so this gate could "
                "never decide",
                "remove it, and compare the outcome by `metric` or `also`",
            )

    def _intervals(self) -> Iterator[Problem]:
        try:
            self.as_rollout()
        except ValueError:
            least = -(-self.days * 24 * 3600 // 10_000)
            yield Problem(
                "interval_seconds",
                self.interval_seconds,
                f"more intervals in {self.days} days than can be read and recorded",
                f"give at least {least}, or fewer days",
            )

    def as_rollout(self) -> RolloutSettings:
        """Return the rollout that carries out the experiment (docs/decisions/0061).

        The treatment gets its share once it has enough replicas. The controller then
        holds the share, and gives all requests to the control for harm or at the end of
        the days. Beyond the share, it waits for a person's approval.
        """
        return RolloutSettings.model_validate(
            {
                "from": self.control,
                "to": self.treatment,
                "steps": [
                    {"weight": self.shares[self.treatment]},
                    {"weight": FULL, "approval": True},
                ],
                "interval_seconds": self.interval_seconds,
                "deadline_hours": self.days * 24,
                "gates": self.gates.model_dump(),
                # Callers with many requests change the share of the requests.
                "sample_ratio": self.assign_by is None,
            }
        )

    def hashed(self) -> list[str]:
        """Return the headers that the gateway hashes, the caller's first, if any."""
        if self.assign_by is None:
            return []
        salt = self.assign_by.salt
        chosen = [salt_header(it) for it in range(SALTS) if salt >> it & 1]
        return [self.assign_by.header, *chosen]

    def plain(self, model: str) -> dict[str, Any]:
        """Return the plan without its times, as `slipway experiment` passes it on."""
        return {
            "model": model,
            "control": self.control,
            "treatment": self.treatment,
            "share": self.shares[self.treatment] / WHOLE,
            "unit": self.unit,
            "metrics": [it.plain() for it in (self.metric, *self.also)],
            "rule": self.rule,
            "spending": self.spending or "obrien_fleming",
            "alpha": self.alpha,
            "power": self.power,
            "smallest": self.minimum_effect,
            "planned_units": self.planned_units or 0,
            "least_units": self.least_units,
            "covariate_days": self.covariate_days,
        }
