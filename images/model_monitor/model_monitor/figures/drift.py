"""Drift of features, score and decision by day, and over the last days together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from model_monitor import config
from model_monitor.counts.counts import Binned, Counts
from model_monitor.counts.plan import Task
from model_monitor.counts.reference import Reference, Variable
from model_monitor.figures.results import Drift, FeatureDrift
from model_monitor.statistics import drift
from model_monitor.statistics.drift import Feature, Verdict

DECISION = "decision"


@dataclass(frozen=True)
class DayDrift:
    """The verdicts of one day, by feature, and those on score and decision."""

    features: Mapping[str, Verdict]
    predictions: Mapping[str, Verdict]

    @property
    def drifted(self) -> tuple[str, ...]:
        return tuple(name for name, it in self.features.items() if it.detected)

    @property
    def prediction_drifted(self) -> bool:
        return any(it.detected for it in self.predictions.values())

    @property
    def largest_effect(self) -> float | None:
        effects = [it.effect for it in self.features.values() if it.effect is not None]
        return max(effects, default=None)


def of_day(
    counts: Counts, reference: Reference, task: Task, settings: config.Drift
) -> DayDrift:
    """Return the verdicts on one day's rows; features that are not logged have none."""
    features = [
        _feature(variable, counts.features[variable.name])
        for variable in reference.features
        if variable.name in counts.features
    ]
    return DayDrift(
        _verdicts(features, settings),
        _verdicts(_predictions(counts, reference, task), settings),
    )


def over_days(
    days: Mapping[str, DayDrift], reference: Reference, settings: config.Drift
) -> Drift | None:
    """Return the newest day's drift, with what persisted; `days` in order of time.

    Days with too few rows for any verdict must have been left out. None without days.
    """
    if not days:
        return None
    recent = dict(list(days.items())[-settings.of :])
    kinds = {it.name: "unseen" for it in reference.features if it.is_categorical}
    return Drift(
        day=list(recent)[-1],
        days=tuple(recent),
        features=_over([day.features for day in recent.values()], kinds, settings),
        predictions=_over(
            [day.predictions for day in recent.values()],
            {DECISION: "unseen"},
            settings,
        ),
    )


def _over(
    days: Sequence[Mapping[str, Verdict]],
    kinds: Mapping[str, str],
    settings: config.Drift,
) -> tuple[FeatureDrift, ...]:
    found = []
    for name, newest in days[-1].items():
        history = [day[name] for day in days if name in day]
        outside = kinds.get(name, "out_of_range")
        detected = [_detected(it, outside) for it in history]
        met = dict.fromkeys(chain.from_iterable(detected))
        found.append(
            FeatureDrift(
                feature=name,
                rows=newest.n,
                effect=newest.effect,
                adjusted_p=newest.adjusted_p,
                detected=newest.detected,
                persistent=_persistent([it.detected for it in history], settings),
                reason=newest.reason,
                checks=detected[-1],
                persistent_checks=tuple(
                    check
                    for check in met
                    if _persistent([check in it for it in detected], settings)
                ),
            )
        )
    return tuple(found)


def _persistent(history: Sequence[bool], settings: config.Drift) -> bool:
    return drift.persistent(history, settings.needed, settings.of)


def _detected(verdict: Verdict, outside: str) -> tuple[str, ...]:
    """Return the checks that found other values, or more rows without a usable one."""
    return tuple(
        outside if check.name == "outside" else check.name
        for check in verdict.checks
        if check.detected and (check.rises or check.name == "values")
    )


def _verdicts(
    features: Sequence[Feature], settings: config.Drift
) -> dict[str, Verdict]:
    found = drift.decide(
        features,
        alpha=settings.alpha,
        effect_floor=settings.effect_floor,
        share_floor=settings.share_floor,
        min_rows=settings.min_rows,
    )
    return {it.name: it for it in found}


def _feature(variable: Variable, counts: Binned) -> Feature:
    return Feature(
        variable.name,
        "category" if variable.is_categorical else "number",
        reference=variable.counts,
        current=counts.bins,
        missing=(variable.missing, counts.missing),
        outside=(0, counts.outside + counts.unseen),
    )


def _predictions(counts: Counts, reference: Reference, task: Task) -> list[Feature]:
    found = []
    if counts.score is not None and reference.score.counts:
        found.append(_feature(reference.score, counts.score))
    if task is not Task.REGRESSION and reference.decisions and counts.decisions:
        known = reference.decisions
        found.append(
            Feature(
                DECISION,
                "category",
                reference=list(known.values()),
                current=[counts.decisions[name] for name in known],
                outside=(
                    0,
                    sum(n for name, n in counts.decisions.items() if name not in known),
                ),
            )
        )
    return found
