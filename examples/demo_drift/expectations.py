"""Which alerts must fire in which stage, which may, and that all others are silent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from examples.demo_drift.prometheus import Fired
from examples.demo_drift.timeline import FAULTY_FEATURE

NOT_HERE = {
    "ModelLogStale": "compares the log with the wall clock and the server's requests",
    "LogShipperBehind": "the demo sends the files itself",
    "LogShipperLosesFiles": "the demo sends the files itself",
}
"""Alerts whose series the demo does not have: they can only be silent."""


@dataclass(frozen=True)
class Pattern:
    """Alerts of a name that have these labels, whatever others they have."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def matches(self, fired: Fired) -> bool:
        return (
            self.name == fired.name
            and self.labels.items() <= dict(fired.labels).items()
        )

    def __str__(self) -> str:
        return str(Fired(self.name, tuple(sorted(self.labels.items()))))


@dataclass(frozen=True)
class Expected:
    """Of one stage: `required` fire at some time of it, `allowed` may.

    `resolved` do not fire any more at its end. All others are silent.
    """

    required: tuple[Pattern, ...] = ()
    allowed: tuple[Pattern, ...] = ()
    resolved: tuple[Pattern, ...] = ()

    def wrong(self, fired: Iterable[Fired], at_end: Iterable[Fired]) -> list[str]:
        """Return what is not as expected, one line for each."""
        found, last = sorted(fired), sorted(at_end)
        may = (*self.required, *self.allowed)
        missing = [
            f"{it} did not fire"
            for it in self.required
            if not any(it.matches(one) for one in found)
        ]
        false = [
            f"{one} fired" for one in found if not any(it.matches(one) for it in may)
        ]
        still = [
            f"{one} still fires at the end"
            for one in last
            if any(it.matches(one) for it in self.resolved)
        ]
        return missing + false + still


def _fairness(metric: str) -> Pattern:
    labels = {"attribute": "RAC1P", "metric": metric}
    return Pattern("ModelFairnessOutsideLimits", labels)


RATIO = _fairness("demographic_parity_ratio")
DIFFERENCE = _fairness("demographic_parity_difference")
ODDS = _fairness("equalized_odds_difference")
ANY_FAIRNESS = Pattern("ModelFairnessOutsideLimits")
OF_DATA = (
    Pattern("ModelDataDrift", {"feature": FAULTY_FEATURE}),
    Pattern(
        "ModelDataQualityViolation",
        {"feature": FAULTY_FEATURE, "check": "out_of_range"},
    ),
    Pattern("ModelPredictionDrift", {"output": "score"}),
    Pattern("ModelPredictionDrift", {"output": "decision"}),
)
OF_ERRORS = (
    Pattern("ModelQualityLow", {"metric": "accuracy", "window": "7d"}),
    Pattern("ModelQualityLow", {"metric": "f1", "window": "7d"}),
    Pattern("ModelConceptDrift"),
)

EVERYTHING = {
    # Selection rates by race differ in all years (a fifth fewer of one group); the
    # ratio's interval is below .8 in 2016 and 2017, in 2018 it reaches .804.
    "served 2016": Expected(required=(RATIO, DIFFERENCE)),
    "judged 2016": Expected(required=(RATIO, DIFFERENCE)),
    # Error rates differ as well; the interval of 2017 begins at .095, beside the limit
    # of .1, that of 30 days across two years at times above it.
    # Ancestry drifts on 2 of 3 days once: an alert if a day is longer than the hold.
    "judged 2017": Expected(
        required=(DIFFERENCE,),
        allowed=(RATIO, ODDS, Pattern("ModelDataDrift", {"feature": "ANC"})),
        resolved=(RATIO,),
    ),
    # What is wrong with inputs shows at once, what it does to quality a month later.
    "fault served": Expected(required=OF_DATA, allowed=(ANY_FAIRNESS,)),
    "judged 2018": Expected(allowed=(*OF_DATA, ANY_FAIRNESS), resolved=OF_DATA),
    "judged fault": Expected(
        required=OF_ERRORS, allowed=(Pattern("ModelQualityLow"), ANY_FAIRNESS)
    ),
}
"""By the stages' names, of all rows."""


def expected(stage: str, *, all_rows: bool) -> Expected:
    """Return what is expected of a stage.

    With fewer rows there are too few of some groups: fairness is then not judged.
    """
    found = EVERYTHING[stage]
    if all_rows:
        return found

    def others(patterns: Iterable[Pattern]) -> tuple[Pattern, ...]:
        return tuple(it for it in patterns if it.name != ANY_FAIRNESS.name)

    return Expected(
        others(found.required),
        (*others(found.allowed), ANY_FAIRNESS),
        others(found.resolved),
    )
