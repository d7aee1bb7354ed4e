"""The report of an experiment: from counts to a verdict; pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from model_monitor.experiments import sequential
from model_monitor.experiments.counting import Counted, Look
from model_monitor.experiments.effects import Effect, effect
from model_monitor.experiments.plan import Metric, Plan, Rule

MOST_CROSSED = 0.01
"""Share of units in both arms from which callers were not kept on their revision."""


class Verdict(StrEnum):
    """The conclusion from the evidence about the treatment."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no_difference"
    """The planned units have come and no difference was found."""
    UNDECIDED = "undecided"
    DOUBTFUL = "doubtful"
    """The arms are not comparable, so no result counts."""


@dataclass(frozen=True)
class Judged:
    """One look with its interval; `crossed` if it excludes no difference."""

    until: int
    units: int
    effect: Effect
    low: float
    high: float
    bound: float
    """Standard errors (group sequential) or the p-value so far (always valid)."""
    crossed: bool

    def plain(self) -> dict[str, Any]:
        return {
            "until": self.until,
            "units": self.units,
            "control": _number(self.effect.control),
            "treatment": _number(self.effect.treatment),
            "difference": _number(self.effect.difference),
            "low": _number(self.low),
            "high": _number(self.high),
            "z": _number(self.effect.z),
            "bound": _number(self.bound),
            "crossed": self.crossed,
            "variance_saved": _number(self.effect.saved),
        }


def judge(plan: Plan, looks: Sequence[Look]) -> list[Judged]:
    """Each look by the plan's rule, up to the first that decides."""
    counted = [
        (look, effect(*look.sums))
        for look in looks
        if min(it.n for it in look.sums) >= plan.least_units
    ]
    if plan.rule is Rule.ALWAYS_VALID:
        found = _always_valid(plan, counted)
    else:
        found = _group_sequential(plan, counted)
    for number, one in enumerate(found):
        if one.crossed:
            return found[: number + 1]
    return found


def _always_valid(plan: Plan, counted: Sequence[tuple[Look, Effect]]) -> list[Judged]:
    found = []
    least = 1.0
    for look, one in counted:
        half = sequential.always_valid_half(one.information, plan.smallest, plan.alpha)
        least = min(
            least,
            sequential.always_valid_p(one.difference, one.information, plan.smallest),
        )
        found.append(_judged(look, one, half, least, crossed=least <= plan.alpha))
    return found


def _group_sequential(
    plan: Plan, counted: Sequence[tuple[Look, Effect]]
) -> list[Judged]:
    """Looks until the planned units have come; later ones do not count."""
    taken: list[tuple[Look, Effect]] = []
    for look, one in counted:
        taken.append((look, one))
        if _units(look) >= plan.planned_units:
            break
    bounds = sequential.boundaries(
        [min(1.0, _units(look) / plan.planned_units) for look, _ in taken],
        [one.information for _, one in taken],
        plan.alpha,
        plan.spending,
    )
    return [
        _judged(
            look,
            one,
            bound / math.sqrt(one.information) if one.information else math.inf,
            bound,
            crossed=abs(one.z) >= bound,
        )
        for (look, one), bound in zip(taken, bounds, strict=True)
    ]


def _units(look: Look) -> int:
    """Units that have a value of the metric."""
    return round(sum(it.n for it in look.sums))


def _judged(
    look: Look, one: Effect, half: float, bound: float, *, crossed: bool
) -> Judged:
    low, high = one.difference - half, one.difference + half
    return Judged(look.until, _units(look), one, low, high, bound, crossed)


def report(plan: Plan, counted: Counted) -> dict[str, Any]:
    """The report as JSON; infinite and unknown numbers are null."""
    judged = [judge(plan, looks) for looks in counted.looks]
    doubt = _doubt(plan, counted)
    verdict, reason = _verdict(plan, judged[0])
    if doubt:
        verdict, reason = Verdict.DOUBTFUL, doubt
    newest = judged[0][-1] if judged[0] else None
    return {
        "model": plan.model,
        "control": plan.control,
        "treatment": plan.treatment,
        "rule": plan.rule.value,
        "unit": plan.unit.value,
        "started": plan.started,
        "until": plan.until,
        "verdict": verdict.value,
        "reason": reason,
        "predictions": counted.predictions,
        "units": {plan.control: counted.seen[0], plan.treatment: counted.seen[1]},
        "units_in_both": counted.crossed,
        "predictions_without_unit": counted.without_unit,
        "planned_units": plan.planned_units or None,
        "units_needed": _number(_needed(plan, newest)),
        "sample_ratio": _sample_ratio(plan, counted),
        "metrics": [
            _metric(metric, looks, decides=number == 0)
            for number, (metric, looks) in enumerate(
                zip(plan.metrics, judged, strict=True)
            )
        ],
    }


def _metric(metric: Metric, looks: list[Judged], *, decides: bool) -> dict[str, Any]:
    return {
        "name": metric.name,
        "better": metric.better,
        "decides": decides,
        "looks": [it.plain() for it in looks],
    }


def _sample_ratio(plan: Plan, counted: Counted) -> dict[str, Any]:
    control, treatment = counted.seen
    evidence = sequential.sample_ratio_evidence(treatment, control, plan.share)
    total = control + treatment
    return {
        "designed": plan.share,
        "found": treatment / total if total else None,
        "evidence": evidence,
        "alarm": evidence >= sequential.ALARM,
    }


def _doubt(plan: Plan, counted: Counted) -> str:
    """Why the arms are not comparable; empty if they are."""
    ratio = _sample_ratio(plan, counted)
    if ratio["alarm"]:
        return (
            f"the treatment has {ratio['found']:.2%} of the units, not "
            f"{plan.share:.0%}: units were lost or added in one arm"
        )
    units = sum(counted.seen) + counted.crossed
    if counted.crossed > MOST_CROSSED * units:
        return (
            f"{counted.crossed} of {units} units were seen in both arms: callers are "
            "not kept on their revision"
        )
    return ""


def _verdict(plan: Plan, looks: Sequence[Judged]) -> tuple[Verdict, str]:
    if not looks:
        return (
            Verdict.UNDECIDED,
            f"no complete look with {plan.least_units} units in each arm",
        )
    last = looks[-1]
    if last.crossed:
        up = last.effect.difference > 0
        better = up == (plan.metrics[0].better == "higher")
        name = Verdict.BETTER if better else Verdict.WORSE
        return name, f"look {len(looks)} excludes no difference"
    if plan.rule is Rule.GROUP_SEQUENTIAL and last.units >= plan.planned_units:
        return (
            Verdict.NO_DIFFERENCE,
            f"the planned {plan.planned_units} units have come",
        )
    return Verdict.UNDECIDED, f"no difference proven after {len(looks)} looks"


def _needed(plan: Plan, newest: Judged | None) -> float:
    if newest is None:
        return math.inf
    return sequential.units_needed(
        newest.units, newest.effect.information, plan.smallest, plan.alpha, plan.power
    )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
