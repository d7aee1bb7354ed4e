"""Predictions of two revisions whose labels come late, as the monitor answers them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from rollout.cohorts import Cohorts, What
from rollout.settings import Gate, RollbackWhen, Step

from tests.support.rollouts import SETTINGS

HOUR = 3600
LABELS_HOURS = 24
ACCURACY = Cohorts(What.ACCURACY, "m", HOUR, labels_seconds=LABELS_HOURS * HOUR)
QUALITY = Gate(
    "quality",
    0.02,
    RollbackWhen.WORSE_THAN_TOLERATED,
    min_coverage=0.8,
    cohorts=ACCURACY,
)
SELECTION = Cohorts(
    What.SELECTION, "m", HOUR, attribute="sex", group="2", least_rows=200
)
GAP = Gate("fairness sex=2", 0.05, cohorts=SELECTION)
SPREAD = Gate("scores", 0.1, cohorts=Cohorts(What.SCORES, "m", HOUR))
LABELLED = replace(
    SETTINGS,
    steps=(Step(25), Step(50)),
    gates=(QUALITY,),
    interval_seconds=HOUR,
    min_intervals=10,
    deadline_hours=400,
)
REVISIONS = ("a", "b")
"""Stable and canary of tests/support/rollouts.py."""


@dataclass
class Labelled:
    """Draws the predictions of each hour once; `answer` has the labels by then."""

    accuracy: tuple[float, float]
    """Of stable and canary."""
    weight: Callable[[int], int]
    """The canary's percent in an hour."""
    rows: int = 4000
    """An hour, of both."""
    late_hours: float = 5.0
    """Mean of the time until a label comes, exponential."""
    groups: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Rate of selection by group, of stable and canary; groups are equally large."""
    seed: int = 1
    _hours: dict[int, list[Any]] = field(default_factory=dict)

    def answer(self, now: int, since: int = 0) -> dict[str, Any]:
        """contracts/revision_intervals.yaml, for the hours that have begun."""
        revisions: dict[str, list[Any]] = {name: [] for name in REVISIONS}
        for hour in range(-(-since // HOUR), now // HOUR):
            if hour not in self._hours:
                self._hours[hour] = self._draw(hour)
            for name, drawn in zip(REVISIONS, self._hours[hour], strict=True):
                if one := self._one(hour, now, *drawn):
                    revisions[name].append(one)
        return {"model": "m", "seconds": HOUR, "revisions": revisions, "pairs": {}}

    def _draw(self, hour: int) -> list[Any]:
        chance = np.random.default_rng([self.seed, hour])
        canary = round(self.rows * self.weight(hour) / 100)
        found = []
        for place, rows in enumerate((self.rows - canary, canary)):
            right = chance.random(rows) < self.accuracy[place]
            comes = hour + chance.exponential(self.late_hours, rows)
            order = np.argsort(comes)
            so_far = np.concatenate([[0], np.cumsum(right[order])])
            selected = {
                name: int(chance.binomial(rows // len(self.groups), rates[place]))
                for name, rates in self.groups.items()
            }
            found.append((comes[order], so_far, selected))
        return found

    def _one(
        self, hour: int, now: int, comes: Any, so_far: Any, selected: dict[str, int]
    ) -> dict[str, Any] | None:
        """comes: when labels come, in order; so_far: how many of these are right."""
        if not len(comes):
            return None
        there = int(np.searchsorted(comes, now / HOUR))
        rows = len(comes) // len(self.groups) if self.groups else 0
        return {
            "start": hour * HOUR,
            "answered": len(comes),
            "labelled": there,
            "right": int(so_far[there]),
            "cells": [0] * 4,
            "scores": [0] * 10,
            "groups": {"sex": {name: [rows, n, 0, 0] for name, n in selected.items()}}
            if self.groups
            else {},
        }
