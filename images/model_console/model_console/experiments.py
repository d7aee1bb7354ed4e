"""The report of an A/B experiment (images/model_monitor: `experiments/report.py`).

Times are Unix seconds, shares are of 1, and effects in the metric's own unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model_console.verdicts import BAD, NONE, OK, WARN, Verdict

_VERDICTS = {
    "better": Verdict(OK, "the treatment is better"),
    "worse": Verdict(BAD, "the treatment is worse"),
    "no_difference": Verdict(NONE, "no difference found"),
    "undecided": Verdict(NONE, "undecided"),
    "doubtful": Verdict(WARN, "doubtful"),
}
"""Same words as `slipway experiment status` (slipway/experiments/show.py)."""


@dataclass(frozen=True)
class Plan:
    """The plan that the stack wrote; the controller passes on all of it."""

    model: str
    control: str
    treatment: str
    share: float
    unit: str
    rule: str
    smallest: float


@dataclass(frozen=True)
class Experiment:
    """The rollout controller's data about the experiment that it carries out."""

    plan: Plan
    headline: str
    started: int | None
    ended: int | None
    ends: int | None
    uncounted: str
    """Why no request counts yet; empty if some may."""


@dataclass(frozen=True)
class Look:
    """One look of a metric, with the interval that holds at all looks together."""

    until: int
    units: int
    control: float | None
    treatment: float | None
    difference: float | None
    low: float | None
    high: float | None
    crossed: bool
    variance_saved: float | None


@dataclass(frozen=True)
class Metric:
    """One metric; of all, the first decides."""

    name: str
    better: str
    decides: bool
    looks: tuple[Look, ...]


@dataclass(frozen=True)
class SampleRatio:
    """The treatment's share of the units, and whether it is doubtful."""

    designed: float
    found: float | None
    alarm: bool


@dataclass(frozen=True)
class Report:
    """The verdict on the evidence."""

    control: str
    treatment: str
    unit: str
    verdict: str
    reason: str
    predictions: int
    units: Mapping[str, int]
    units_in_both: int
    predictions_without_unit: int
    planned_units: int | None
    units_needed: float | None
    sample_ratio: SampleRatio
    metrics: tuple[Metric, ...]

    @property
    def badge(self) -> Verdict:
        return _VERDICTS.get(self.verdict, Verdict(NONE, self.verdict))

    @property
    def needed(self) -> str:
        """Return the number of units for a verdict, in the command's words."""
        found = [f"planned {self.planned_units}"] if self.planned_units else []
        if self.units_needed is not None:
            about = f"about {self.units_needed:.0f}"
            found.append(f"{about} find the smallest effect that matters")
        return "; ".join(found)


@dataclass(frozen=True)
class ReportAnswer:
    """The newest report; `reason`: why there is none, or no newer one."""

    computed: int | None
    report: Report | None
    reason: str
