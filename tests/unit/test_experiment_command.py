"""`slipway experiment` against an API server in memory, with the controller beside it.

The monitor's program is this checkout's, on a store of made-up records.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from model_monitor.experiments import plan as plans
from rollout import __main__ as program
from rollout import cluster as controller
from rollout import decided, page
from rollout import settings as rollout_settings
from rollout.cluster import Cluster
from rollout.protocol import tick
from rollout.shares import SETTLED_SECONDS
from rollout.watched import Watched

from components.delivery import rollout_file
from components.delivery.experiment_settings import ExperimentSettings
from components.settings import parse
from slipway.cli import cli
from slipway.cluster import pod_exec
from slipway.cluster.kube_api import KubeApi
from slipway.cluster.pod_exec import Done
from slipway.engine import stack_api
from slipway.experiments import live as experiments
from slipway.rollouts import command as rollouts
from slipway.rollouts import options
from slipway.rollouts.live import Live
from tests.support.rollout_api import NAMES, Served, objects, serve

EXPERIMENT = parse(
    ExperimentSettings,
    {
        "control": "a",
        "shares": {"a": 50, "b": 50},
        "assign_by": {"header": "x-user-id"},
        "unit": "caller",
        "metric": {"kind": "accuracy", "labels_within_hours": 24},
        "minimum_effect": 0.05,
        "rule": "always_valid",
        "days": 14,
    },
    "experiment",
)
BEGUN = 1_000_000
COUNTED = BEGUN + SETTLED_SECONDS
"""Since when requests count."""
DAY = 86_400
LOOK = {
    "until": BEGUN + DAY,
    "units": 4000,
    "control": 0.75,
    "treatment": 0.8,
    "difference": 0.05,
    "low": 0.01,
    "high": 0.09,
    "z": 4.2,
    "bound": 0.002,
    "crossed": True,
    "variance_saved": 0.25,
}
REPORT: dict[str, Any] = {
    "model": "m",
    "control": "a",
    "treatment": "b",
    "rule": "always_valid",
    "unit": "caller",
    "started": COUNTED,
    "until": BEGUN + DAY,
    "verdict": "better",
    "reason": "look 1 excludes no difference",
    "predictions": 9000,
    "units": {"a": 2010, "b": 1990},
    "units_in_both": 3,
    "predictions_without_unit": 40,
    "planned_units": None,
    "units_needed": 3120.5,
    "sample_ratio": {"designed": 0.5, "found": 0.4975, "evidence": 0.1, "alarm": False},
    "metrics": [
        {"name": "accuracy", "better": "higher", "decides": True, "looks": [LOOK]},
        {
            "name": "positive_rate of 1",
            "better": "higher",
            "decides": False,
            "looks": [],
        },
    ],
}


class World:
    """The API server, the controller and the monitor; a clock that tests move."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.now = BEGUN
        self.controller: Cluster | None = None
        self.report: dict[str, Any] | None = REPORT
        self.plans: list[dict[str, Any]] = []

    def tick(self) -> None:
        assert self.controller
        self.controller.run(tick())

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, content = request.url.path, request.content
        if path.endswith("selfsubjectreviews"):
            return httpx.Response(201, json={"status": {"userInfo": {"username": "x"}}})
        if path.endswith("/pods"):
            return httpx.Response(200, json={"items": []})
        if path == NAMES.config_maps and request.method == "GET":
            names = sorted(it for it in self.served.objects if "rollout-entry-" in it)
            found = [self.served.objects[name] for name in names]
            return httpx.Response(200, json={"items": found})
        body = json.loads(content) if content else None
        status, answer = self.served.answer(request.method, path, body)
        return httpx.Response(status, json=copy.deepcopy(answer))

    def run_in_pod(self, *_: Any, pod: str, command: list[str], **__: Any) -> Done:
        assert (pod, *command[:4]) == (experiments.POD, *experiments.PROGRAM)
        self.plans.append(json.loads(command[4]))
        if self.report is None:
            return Done(1, b"", "error: the store is being \u202ecompacted\n")
        return Done(0, json.dumps(self.report).encode(), "")

    def order(self) -> dict[str, Any]:
        status = json.loads(self.served.objects[NAMES.status]["data"]["status.json"])
        found: dict[str, Any] = status["order"]
        return found


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    told = rollout_file.settings("m", "models", EXPERIMENT.as_rollout())
    served = Served(objects(rollout_settings.read(told)))
    plan = rollout_file.plan(EXPERIMENT.plain("m"))
    served.objects[NAMES.settings]["data"] |= plan
    found = World(served)
    with serve(served) as api:
        found.controller = Cluster(api, api, NAMES, clock=lambda: found.now)
        transport = httpx.MockTransport(found.answer)

        @contextmanager
        def reach(*_: Any) -> Iterator[KubeApi]:
            yield KubeApi(httpx.Client(base_url="https://api", transport=transport))

        around = SimpleNamespace(namespace="models")
        settings = SimpleNamespace(models={"m": None}, platform=around)
        monkeypatch.setattr(stack_api, "of_stack", reach)
        monkeypatch.setattr(options.stack_settings, "load", lambda *_: settings)
        monkeypatch.setattr(pod_exec, "run", found.run_in_pod)
        monkeypatch.setattr(rollouts, "sleep", lambda _: found.tick())
        monkeypatch.setattr(rollouts.getpass, "getuser", lambda: "ann")
        monkeypatch.setattr(controller, "log", lambda *_, **__: None)
        live = functools.partial(Live, clock=lambda: found.now)
        monkeypatch.setattr(options, "Live", live)
        yield found


def run(*words: str, status: int = 0) -> Result:
    done = CliRunner().invoke(cli, ["experiment", *words])
    assert done.exit_code == status, done.output
    return done


def test_the_controller_gives_the_share_and_waits_there(world: World) -> None:
    assert "not begun" in run("status", "m").output
    assert "has not got its share" in run("status", "m").output
    world.tick()
    assert world.served.weights() == [50, 50]
    world.now += 13 * DAY
    world.tick()
    assert world.served.weights() == [50, 50]
    # After its days the control has all requests.
    world.now += 2 * DAY
    world.tick()
    assert world.served.weights() == [100, 0]


def test_status_is_a_table_and_json(world: World) -> None:
    world.tick()
    world.now += DAY
    lines = run("status", "m").output.splitlines()
    assert lines[0] == (
        "m: b against a (control), 50 % of the callers, since 1970-01-12 13:47 UTC, "
        "ends 1970-01-26 13:46 UTC"
    )
    assert lines[1] == "  the treatment is better: look 1 excludes no difference"
    assert lines[3].split() == (
        ["*", "accuracy", "0.7500", "0.8000", "+0.0500", "+0.0100", "+0.0900", "25%"]
    )
    assert lines[4].split() == ["positive_rate", "of", "1", *"------"]
    assert "  callers: a 2010, b 1990; the treatment has 49.8%, designed 50%" in lines
    assert (
        lines[-1] == "  units needed: about 3120 find the smallest effect that matters"
    )
    found = json.loads(run("status", "m", "--json").output)
    assert found["report"] == REPORT
    assert (found["started"], found["ended"], found["runs"]) == (COUNTED, None, True)
    # The monitor is told the plan, and the time in which the shares stood.
    times = {"started": COUNTED, "until": BEGUN + DAY, "now": BEGUN + DAY}
    assert world.plans[-1] == EXPERIMENT.plain("m") | times


def test_no_request_counts_before_every_proxy_has_the_shares(world: World) -> None:
    world.tick()
    world.now += SETTLED_SECONDS
    assert "no report: requests count from 60 s after" in run("status", "m").output
    assert not world.plans
    world.now += 1
    assert "no report" not in run("status", "m").output
    assert world.plans[-1]["started"] == COUNTED


def test_a_report_that_cannot_be_made_is_said(world: World) -> None:
    world.tick()
    world.now += DAY
    world.report = None
    text = run("status", "m").output
    assert "the store is being" in text
    assert "\u202e" not in text
    found = json.loads(run("status", "m", "--json").output)
    assert (found["report"], "compacted" in found["unreported"]) == (None, True)


def test_stop_gives_all_to_the_control(world: World) -> None:
    world.tick()
    world.now += DAY
    run("stop", "m", "--why", "complaints")
    assert world.served.weights() == [100, 0]
    assert world.order()["why"] == "complaints"
    world.now += DAY
    # What was counted stays readable, until the stop alone.
    run("status", "m")
    assert world.plans[-1]["until"] == BEGUN + DAY
    refused = run("extend", "m", "--why", "more", status=1).output
    assert "there is nothing to extend" in refused


def test_extend_begins_the_days_again_and_keeps_the_callers(world: World) -> None:
    world.tick()
    world.now += 10 * DAY
    run("extend", "m", "--why", "labels are late")
    assert world.served.weights() == [50, 50]
    found = json.loads(run("status", "m", "--json").output)
    assert found["ends"] == BEGUN + 24 * DAY
    assert found["started"] == COUNTED
    world.now += 10 * DAY
    world.tick()
    assert world.served.weights() == [50, 50]


def test_conclude_needs_a_verdict_and_keeps_it_in_the_record(world: World) -> None:
    world.tick()
    world.now += DAY
    refused = run("conclude", "m", "--winner", "a", "--why", "x", status=1).output
    assert "the report does not say that a has won: better" in refused
    assert (
        "give --winner a or b"
        in run("conclude", "m", "--winner", "c", "--why", "x", status=1).output
    )
    run("conclude", "m", "--winner", "b", "--why", "enough")
    assert world.served.weights() == [0, 100]
    assert world.order()["why"] == (
        "enough [experiment: better, accuracy, difference 0.05, low 0.01, high 0.09, "
        "4000 units]"
    )


@pytest.mark.parametrize("verdict", ["worse", "no_difference"])
def test_the_control_wins_if_the_treatment_is_not_better(
    world: World, verdict: str
) -> None:
    world.tick()
    world.now += DAY
    world.report = REPORT | {"verdict": verdict}
    assert (
        "has won"
        in run("conclude", "m", "--winner", "b", "--why", "x", status=1).output
    )
    run("conclude", "m", "--winner", "a", "--why", "x")
    assert world.served.weights() == [100, 0]


def test_a_person_may_decide_without_a_report(world: World) -> None:
    world.tick()
    world.now += DAY
    world.report = None
    refused = run("conclude", "m", "--winner", "b", "--why", "x", status=1).output
    assert "the experiment cannot be counted" in refused
    run("conclude", "m", "--winner", "b", "--why", "x", "--despite-verdict")
    assert world.served.weights() == [0, 100]
    assert world.order()["why"] == "x [experiment: unknown]"


def test_the_winner_needs_replicas_for_all_requests(world: World) -> None:
    world.tick()
    world.now += DAY
    deployment = world.served.objects[NAMES.deployment("m-b")]
    deployment["status"] = {"readyReplicas": 5}
    words = ("conclude", "m", "--winner", "b", "--why", "enough")
    said = run(*words, status=1).output
    assert (
        "100 % needs 9 ready replicas of the new revision, it has 5, 4 too few" in said
    )
    assert world.served.weights() == [50, 50]
    run(*words, "--despite-replicas")
    assert world.served.weights() == [0, 100]


def test_a_rollout_is_no_experiment(world: World) -> None:
    del world.served.objects[NAMES.settings]["data"]["experiment.json"]
    assert "set experiment in its settings" in run("status", "m", status=1).output
    assert "set experiment" in run("stop", "m", "--why", "x", status=1).output


def test_the_monitor_reads_the_plan_that_the_stack_writes() -> None:
    times = {"started": 1, "until": 2, "now": 3}
    found = plans.read(json.dumps(EXPERIMENT.plain("m") | times))
    assert (found.model, found.share, found.until) == ("m", 0.5, 2)
    assert found.metrics[0].labels_within_seconds == DAY


def told(world: World, watched: Watched) -> Any:
    """What the controller's page says of the experiment after another look."""
    assert world.controller
    program.step(world.controller, watched)
    found = page.of_one(watched)
    assert found
    assert found["rollout"]
    return found["rollout"]["experiment"]


def test_readers_are_told_the_time_that_the_command_counts(world: World) -> None:
    """Also if it was extended more often than the status keeps decisions."""
    watched = Watched()
    assert told(world, watched)["started"] == COUNTED
    for _ in range(2 * decided.MOST):
        world.now += DAY
        run("extend", "m", "--why", "longer")
        assert told(world, watched)["started"] == COUNTED
    status = watched.status
    assert status
    assert len(status.recent) == decided.MOST
    for ended in (False, True):
        found = json.loads(run("status", "m", "--json").output)
        (headline, *_) = run("status", "m").output.splitlines()
        experiment = told(world, watched)
        assert experiment["headline"] == headline
        assert experiment["uncounted"] == ""
        for name in ("started", "ended", "ends"):
            assert experiment[name] == found[name]
        assert experiment["plan"] == found["experiment"]
        assert (experiment["ended"] is not None) == ended
        run("stop", "m", "--why", "enough")
        world.now += DAY


def test_readers_are_told_why_nothing_counts_yet(world: World) -> None:
    for path in [it for it in world.served.objects if "deployments" in it]:
        world.served.objects[path]["status"] = {"readyReplicas": 0}
    watched = Watched()
    assert "has not got its share" in told(world, watched)["uncounted"]
    assert told(world, watched)["headline"].endswith(", not begun")


@pytest.mark.parametrize("text", ["[]", "{}", "{"])
def test_a_plan_that_is_none_keeps_the_rollout_going(world: World, text: str) -> None:
    world.served.objects[NAMES.settings]["data"]["experiment.json"] = text
    assert told(world, Watched()) is None
    assert world.served.weights() == [50, 50]
