"""What can be chosen about the rollout of a revision, and about the controller."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from components import naming
from components.delivery.borrow_settings import BorrowSettings
from components.delivery.cohort_gates import (
    CohortSettings,
    FairnessGate,
    PairsGate,
    QualityGate,
    ScoresGate,
)
from components.delivery.lend_settings import LendSettings
from components.delivery.shadow_settings import ShadowSettings
from components.part_settings import image_problems
from components.serving.settings.revisions import RevisionName
from components.setting_types import Decimal, Whole
from components.settings import Problem, Settings

MOST_ROWS = 20_000
"""Intervals times gates until the deadline: a decision's record keeps all counts in one
object of Kubernetes, which may have 1 MiB."""
MOST_INTERVALS = 10_900
"""Until the deadline: Prometheus gives 11,000 points of a series at most."""
Points = Annotated[Decimal, Field(gt=0, le=50)]
"""Percentage points."""
Chance = Annotated[Decimal, Field(gt=0, le=0.5)]


class ErrorsAllowed(Settings):
    """How often the gates of one step may be wrong (docs/rollout-gates.md)."""

    false_rollback: Chance = 0.05
    """Probability that a canary that is not worse is rolled back; shared among the
    gates."""
    false_promotion: Chance = 0.05
    """Probability that a canary that is worse by the full tolerance is promoted."""


class GateSettings(Settings):
    """What every gate has."""

    tolerate_points: Points
    """By how many percentage points of its requests the canary may be worse."""
    rollback_when: Literal["any_harm", "worse_than_tolerated"] = "any_harm"
    """Evidence that the slow lane needs for a rollback: that the canary is worse at
    all, or also that the estimate exceeds the tolerance."""


class SlowGate(GateSettings):
    """Answers that take too long."""

    above_milliseconds: Literal[25, 50, 100, 250, 500, 1000, 2500, 5000, 10000]
    """Limit above which responses count as slow; a bucket bound of the gateway's
    histogram."""


class Gates(Settings):
    """What is compared; all gates have to agree to a promotion."""

    errors: GateSettings = GateSettings(tolerate_points=0.5)
    """Responses with 5xx, resets and timeouts, as counted at the gateway."""
    slow: SlowGate | None = None
    """Slow responses; not compared unless given."""
    quality: QualityGate | None = None
    """Decisions by their labels, which the model monitor has."""
    fairness: FairnessGate | None = None
    """Groups of people, by the protected attributes that the model monitor has."""
    scores: ScoresGate | None = None
    """Scores of a binary model, as the model monitor has them."""
    pairs: PairsGate | None = None
    """Copies beside their originals, in the shadow step, as the model monitor has
    them."""

    @property
    def cohorts(self) -> list[str]:
        """Names of the gates that read the model monitor."""
        names = ("quality", "fairness", "scores", "pairs")
        return [it for it in names if getattr(self, it)]

    @property
    def by_labels(self) -> list[str]:
        """Names of those that need labels."""
        by_fairness = self.fairness and self.fairness.rate == "true_positive"
        found = {
            "quality": self.quality,
            "fairness": by_fairness,
            "pairs.accuracy": self.pairs and self.pairs.accuracy,
        }
        return [name for name, needs in found.items() if needs]


class StepSettings(Settings):
    """One weight of the canary."""

    weight: Annotated[Whole, Field(ge=1, le=99)]
    """Percent of the requests."""
    approval: bool = False
    """Whether this weight needs a manual `slipway rollout approve`."""


class RolloutSettings(Settings):
    """How a revision takes over from another."""

    from_: Annotated[RevisionName, Field(alias="from")]
    """Revision that serves the requests when the rollout starts."""
    to: RevisionName
    """The new revision: the canary. It starts without requests."""
    steps: Annotated[tuple[StepSettings, ...], Field(max_length=20)] = (
        StepSettings(weight=5),
        StepSettings(weight=25),
        StepSettings(weight=50),
    )
    """Weights before 100, each more than the one before."""
    shadow: ShadowSettings | None = None
    """A step before the first one, in which the canary gets copies of requests and
    nobody gets its answers; not made unless given (docs/how-to/shadow.md)."""
    lend: LendSettings | None = None
    """Replicas of the old revision that the new one has meanwhile, where GPUs are
    scarce (docs/how-to/scarce-gpus.md)."""
    borrow: BorrowSettings | None = None
    """Training jobs whose GPUs the new revision may have, where GPUs are scarce
    (docs/how-to/scarce-gpus.md)."""
    interval_seconds: Annotated[Whole, Field(ge=10, le=3600)] = 30
    """Length of the intervals in which requests are counted; at least twice the scrape
    interval."""
    min_intervals: Annotated[Whole, Field(ge=2, le=1000)] = 30
    """Intervals of a step before it can be promoted."""
    deadline_hours: Annotated[Decimal, Field(gt=0, le=720)] = 72
    """Time without a decision after which the canary gets no more requests."""
    errors_allowed: ErrorsAllowed = ErrorsAllowed()
    """How often the gates of one step may be wrong."""
    gates: Gates = Gates()
    """Metrics that are compared."""
    cohorts: CohortSettings = CohortSettings()
    """Of the gates that read the model monitor."""
    sample_ratio: bool = True
    """Whether the rollout pauses when the canary's share of the requests differs from
    its weight. Set false if callers are assigned by a header: busy callers then change
    the share."""

    def contradictions(self) -> Iterator[Problem]:
        """Steps that go back, revisions that are one, counts that fit no record."""
        weights = [step.weight for step in self.steps]
        if not weights or weights != sorted({*weights}):
            yield Problem(
                "steps",
                weights,
                "there is none, or a weight is not more than the one before",
                "give weights that rise, such as 5, 25, 50",
            )
        if self.from_ == self.to:
            yield Problem(
                "to",
                self.to,
                "it is the revision that serves the requests already",
                "name another revision of the model",
            )
        if self.lend and self.borrow:
            yield Problem(
                "borrow",
                {stack: list(names) for stack, names in self.borrow.jobs.items()},
                "with lend the rollout needs no GPU more, so it would borrow none",
                "remove one of the two",
            )
        yield from self._rows_problem()

    def _rows_problem(self) -> Iterator[Problem]:
        seconds = self.deadline_hours * 3600
        counters = 1 if self.gates.slow is None else 2
        of_cohorts = round(seconds / self.cohorts.interval_seconds) * self._cohort_rows
        if of_cohorts > MOST_ROWS // 2:
            yield Problem(
                "cohorts.interval_seconds",
                self.cohorts.interval_seconds,
                f"cohorts until the deadline take {of_cohorts} rows of a decision's "
                f"record, and half of its {MOST_ROWS} are theirs",
                "give longer ones, or a shorter deadline",
            )
            return
        intervals = round(seconds / self.interval_seconds)
        most = min(MOST_INTERVALS, (MOST_ROWS - of_cohorts) // counters)
        if intervals > most:
            yield Problem(
                "interval_seconds",
                self.interval_seconds,
                f"there are {intervals} intervals until the deadline, and {most} can "
                "be read and recorded",
                f"give at least {-(-seconds // most):.0f}, or a shorter deadline",
            )

    @property
    def _cohort_rows(self) -> int:
        """Rows of a record that one cohort takes (images/rollout, Gate.rows)."""
        gates = self.gates
        groups = len(gates.fairness.groups) if gates.fairness else 0
        pairs = len(gates.pairs.given) if gates.pairs else 0
        return bool(gates.quality) + 2 * groups + 4 * bool(gates.scores) + pairs


class DeliverySettings(Settings):
    """The controller of a stack's rollouts."""

    image: str = "rollout"
    """The controller. A short name of images.lock, or by digest."""
    tick_seconds: Annotated[Whole, Field(ge=2, le=300)] = 15
    """Interval of its control loop."""
    prometheus_url: Annotated[
        str, Field(pattern=r"^http://[a-z0-9-]+(\.[a-z0-9-]+)+:[0-9]{1,5}$")
    ] = f"http://prometheus.{naming.MONITORING_NAMESPACE}:9090"
    """The Prometheus that scrapes the gateway: http://service.namespace:port, and the
    port is also its pods'."""
    runbooks: Annotated[str, Field(min_length=1)] = "docs/runbooks"
    """Where the runbooks can be read; alerts link to <runbooks>/<alert>.md."""

    @property
    def prometheus(self) -> tuple[str, int]:
        """Namespace and port of Prometheus' pods."""
        host, _, port = self.prometheus_url.removeprefix("http://").partition(":")
        return host.split(".")[1], int(port)

    def image_problems(self) -> Iterator[Problem]:
        """An image that is nowhere; asked only where weights are moved."""
        yield from image_problems("delivery.image", self.image)
