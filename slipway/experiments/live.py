"""One experiment in the cluster: its plan, its start, and its report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rollout import decided, experiment
from rollout.experiment import Experiment
from rollout.shares import Window

from components import naming
from slipway.cluster import pod_exec
from slipway.cluster.kube_api import KubeApiError
from slipway.rollouts.live import Live, State

POD = f"{naming.MODEL_MONITOR}-0"
CONTAINER = "monitor"
PROGRAM = ("python3", "-m", "model_monitor", "experiment")
Report = dict[str, Any]


class NoExperimentError(KubeApiError):
    """The cluster has no experiment of the model server."""


@dataclass(frozen=True)
class Found:
    """The cluster's state of an experiment at one time."""

    experiment: Experiment
    state: State
    """State of the rollout that carries it out."""
    now: int

    @property
    def plan(self) -> dict[str, Any]:
        """Return the plan that the stack wrote, without times."""
        return dict(self.experiment.plan)

    @property
    def window(self) -> Window | None:
        """Return the period of the shares; None before the treatment gets its share."""
        return self.experiment.window

    @property
    def runs(self) -> bool:
        """Return whether the treatment has its share now."""
        return self.experiment.runs


def read(live: Live) -> Found:
    """Return the experiment; NoExperimentError if there is none."""
    state = live.state()
    config_map = live.api.get(live.names.settings) or {}
    plan = experiment.read(config_map.get("data") or {})
    if plan is None:
        raise NoExperimentError(
            f"{live.names.server} has a rollout and no experiment in the cluster: set "
            "experiment in its settings and run `slipway up`"
        )
    now = int(live.clock())
    decisions = [decided.of(it) for it in live.entries()]
    made = experiment.of(
        plan,
        decisions,
        settings=state.settings,
        status=state.status,
        route=state.route,
        now=now,
    )
    return Found(made, state, now)


def report(live: Live, of: Found) -> Report:
    """Return the report of the monitor's pod; KubeApiError says why there is none."""
    if why_not := of.experiment.uncounted(of.now):
        raise KubeApiError(why_not)
    assert of.window
    times = {
        "started": of.window.started,
        "until": of.window.ended or of.now,
        "now": of.now,
    }
    done = pod_exec.run(
        live.api,
        namespace=live.names.namespace,
        pod=POD,
        container=CONTAINER,
        command=[*PROGRAM, json.dumps(of.plan | times)],
    )
    if done.status:
        said = done.errors.strip().rpartition("\n")[2] or f"status {done.status}"
        raise KubeApiError(f"{POD}: the experiment cannot be counted: {said}")
    try:
        made: Report = json.loads(done.output)
    except ValueError:
        raise KubeApiError(f"{POD}: the report is not JSON") from None
    return made
