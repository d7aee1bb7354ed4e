"""An experiment that a rollout carries out: its plan and the time that counts.

The controller decides nothing by it; it serves readers, who cannot read the decisions.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rollout import shares
from rollout.decided import Decided
from rollout.seen import Route
from rollout.settings import Settings
from rollout.shares import SETTLED_SECONDS, Window
from rollout.status import Status

WHOLE = 100
KEY = "experiment.json"
"""Key in the ConfigMap of the settings (components/delivery/rollout_file.py)."""


@dataclass(frozen=True)
class Experiment:
    """The cluster's state of an experiment at one time."""

    plan: Mapping[str, Any]
    """The plan that the stack wrote, without times."""
    window: Window | None
    """None: the treatment has not got its share yet."""
    runs: bool
    """Whether the treatment has its share now."""
    ends: int | None
    """When the controller ends it, in Unix seconds; None unless it runs."""

    @property
    def share(self) -> int:
        """The treatment's percent, by design."""
        return share_of(self.plan)

    def uncounted(self, now: int) -> str:
        """Why no request counts yet; empty if some may."""
        found = self.window
        if found is None:
            return f"{self.plan['treatment']} has not got its share of the requests yet"
        if (found.ended or now) <= found.started:
            return (
                f"requests count from {SETTLED_SECONDS} s after the shares were set, "
                "when every proxy has them"
            )
        return ""

    def headline(self, server: str) -> str:
        """Return the compared revisions, with their shares and times."""
        plan = self.plan
        return (
            f"{server}: {plan['treatment']} against {plan['control']} (control), "
            f"{self.share} % of the {plan['unit']}s, {self._times()}"
        )

    def _times(self) -> str:
        window = self.window
        if window is None:
            return "not begun"
        began = _moment(window.started)
        if window.ended is not None:
            return f"{began} to {_moment(window.ended)} UTC"
        ends = f", ends {_moment(self.ends)} UTC" if self.ends else ""
        return f"since {began} UTC{ends}"


def share_of(plan: Mapping[str, Any]) -> int:
    return round(float(plan["share"]) * WHOLE)


def read(data: Mapping[str, str]) -> dict[str, Any] | None:
    """The plan, of the data of the settings' ConfigMap; ValueError if it is none."""
    if KEY not in data:
        return None
    found = json.loads(data[KEY])
    if not isinstance(found, dict) or not {
        *("model", "control", "treatment", "share", "unit")
    } <= {*found}:
        raise ValueError(f"{KEY} is not a plan of an experiment")
    return found


def of(
    plan: Mapping[str, Any],
    decisions: Iterable[Decided],
    *,
    settings: Settings,
    status: Status | None,
    route: Route,
    now: int,
) -> Experiment:
    """The experiment, by decisions with the oldest first."""
    share = share_of(plan)
    found = shares.window(decisions, plan["control"], plan["treatment"], share)
    weight = route.weight(settings)
    if found and found.ended is None and weight != share:
        # The record of the last change has been deleted.
        found = found.until(status.started if status else now)
    runs = found is not None and weight == share
    ends = None
    if status and runs:
        ends = status.begun + round(settings.deadline_hours * 3600)
    return Experiment(plan, found, runs, ends)


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
