"""Content of one rollout's page, from the controller's data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from model_console import charts
from model_console.charts import Closing
from model_console.rollouts import Decided, Gate, Order, Point, Rollout

RENEW_SECONDS = 15
"""The controller looks as often (`delivery.tick_seconds`)."""
MOST_GATES, MOST_POINTS, MOST_DECISIONS, MOST_REVISIONS = 50, 100, 50, 20
"""The controller gives less; a page has no more, whatever it is given."""
POINTS = 100
"""A share of 1 in percentage points."""


@dataclass(frozen=True)
class GateView:
    """A gate with its chart, and the chart's table, the newest look first."""

    gate: Gate
    chart: Markup | None
    rows: tuple[Point, ...]


@dataclass(frozen=True)
class RolloutPage:
    """One rollout."""

    rollout: Rollout
    gates: tuple[GateView, ...]

    @property
    def order(self) -> Order | None:
        return self.rollout.order

    @property
    def decisions(self) -> tuple[Decided, ...]:
        return self.rollout.decisions[:MOST_DECISIONS]

    @property
    def stage(self) -> str:
        """The controller's words; empty where no step is under way."""
        return self.rollout.stage if self.rollout.phase == "running" else ""

    @property
    def weights(self) -> tuple[tuple[str, int, int], ...]:
        """Each revision with its percent of the requests, and of the copies."""
        found = [*self.rollout.weights.items()][:MOST_REVISIONS]
        return tuple(
            (name, it, self.rollout.mirrors.get(name, 0)) for name, it in found
        )


def page(rollout: Rollout) -> RolloutPage:
    return RolloutPage(rollout, tuple(_gates(rollout)))


def _gates(rollout: Rollout) -> Iterator[GateView]:
    for number, it in enumerate(rollout.gates[:MOST_GATES]):
        chart, found = None, it.points[-MOST_POINTS:]
        if found:
            looks = [
                Closing(
                    f"{point.intervals} intervals",
                    point.estimate * POINTS,
                    _points(point.lower),
                    _points(point.upper),
                )
                for point in found
            ]
            chart = charts.closing(
                f"gate-{number}",
                f"{it.gate}: canary worse by, in percentage points",
                looks,
                margin=it.tolerate * POINTS,
                words="intervals that count",
            )
        yield GateView(it, chart, found[::-1])


def _points(share: float | None) -> float | None:
    return None if share is None else share * POINTS
