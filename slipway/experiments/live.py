"""One experiment in the cluster: its plan, since when it runs, and its report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rollout.record import Entry

from components import naming
from components.delivery.rollout_file import EXPERIMENT_KEY
from slipway.cluster import pod_exec
from slipway.cluster.kube_api import KubeApiError
from slipway.rollouts.live import Live, State

POD = f"{naming.MODEL_MONITOR}-0"
CONTAINER = "monitor"
PROGRAM = ("python3", "-m", "model_monitor", "experiment")
WHOLE = 100
SETTLED_SECONDS = 60
"""From a decision until every proxy has its weights: meanwhile callers may meet both
revisions, and one request on the other revision excludes a caller from the report."""

Report = dict[str, Any]


class NoExperimentError(KubeApiError):
    """The cluster has no experiment of the model server."""


@dataclass(frozen=True)
class Window:
    """The time whose requests count; Unix seconds."""

    started: int
    """SETTLED_SECONDS after the shares were set."""
    ended: int | None = None
    """When the shares changed; None: they stand."""

    def until(self, moment: int) -> Window:
        """The same one, ended at that moment, or at its start if that is later."""
        return Window(self.started, max(self.started, moment))


@dataclass(frozen=True)
class Experiment:
    """What the cluster has of an experiment at one moment."""

    plan: dict[str, Any]
    """As the stack wrote it, without times."""
    state: State
    """Of the rollout that carries it out."""
    window: Window | None
    """None: the treatment has not got its share yet."""
    now: int

    @property
    def share(self) -> int:
        """The treatment's percent, by design."""
        return round(float(self.plan["share"]) * WHOLE)

    @property
    def runs(self) -> bool:
        """Whether the treatment has its share now."""
        weight = self.state.route.weight(self.state.settings)
        return self.window is not None and weight == self.share

    @property
    def ends(self) -> int | None:
        """When the controller ends it; None if it has not begun."""
        status = self.state.status
        if status is None or not self.runs:
            return None
        seconds = round(self.state.settings.deadline_hours * 3600)
        return int(status.begun) + seconds


def read(live: Live) -> Experiment:
    """The experiment; NoExperimentError if there is none."""
    state = live.state()
    told = live.api.get(live.names.settings) or {}
    text = (told.get("data") or {}).get(EXPERIMENT_KEY)
    if text is None:
        raise NoExperimentError(
            f"{live.names.server} has a rollout and no experiment in the cluster: set "
            "experiment in its settings and run `slipway up`"
        )
    plan: dict[str, Any] = json.loads(text)
    share = round(plan["share"] * WHOLE)
    found = window(live.entries(), plan["control"], plan["treatment"], share)
    now = int(live.clock())
    status = state.status
    weight = state.route.weight(state.settings)
    if found and found.ended is None and weight != share:
        # The record of the last change has been deleted.
        found = found.until(status.started if status else now)
    return Experiment(plan, state, found, now)


def window(
    entries: Sequence[Entry], control: str, treatment: str, share: int
) -> Window | None:
    """When the shares last stood, by the records of the decisions.

    Only this time counts: when a share changes, callers move between revisions.
    """
    found: Window | None = None
    for entry in entries:
        settings, weights, facts = entry["settings"], entry["weights"], entry["facts"]
        is_mine = (settings["stable"], settings["canary"]) == (control, treatment)
        if is_mine and weights["after"] == share:
            if found is None or found.ended is not None:
                stood = weights["before"] == share
                begun = facts["started"] if stood else facts["now"]
                found = Window(begun + SETTLED_SECONDS)
        elif found and found.ended is None:
            found = found.until(facts["now"])
    return found


def report(live: Live, experiment: Experiment) -> Report:
    """The report, made in the monitor's pod; KubeApiError says why there is none."""
    found = experiment.window
    if found is None:
        raise KubeApiError(
            f"{experiment.plan['treatment']} has not got its share of the requests yet"
        )
    until = found.ended or experiment.now
    if until <= found.started:
        raise KubeApiError(
            f"requests count from {SETTLED_SECONDS} s after the shares were set, when "
            "every proxy has them"
        )
    times = {"started": found.started, "until": until, "now": experiment.now}
    done = pod_exec.run(
        live.api,
        namespace=live.names.namespace,
        pod=POD,
        container=CONTAINER,
        command=[*PROGRAM, json.dumps(experiment.plan | times)],
    )
    if done.status:
        said = done.errors.strip().rpartition("\n")[2] or f"status {done.status}"
        raise KubeApiError(f"{POD}: the experiment cannot be counted: {said}")
    try:
        made: Report = json.loads(done.output)
    except ValueError:
        raise KubeApiError(f"{POD}: the report is no JSON") from None
    return made
