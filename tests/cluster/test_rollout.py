"""A revision is promoted by evidence, and another one is taken back, on the gateway.

Both new revisions are the same model as the first one. The bad one has a pod beside
its own that answers every 25th request with 500: half of the revision's requests meet
it, so 2 % of them fail. A fourth revision crashes once it has requests. The last tests
make some of the controller's calls in its place, as one does that dies in between.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from rollout import cluster as cluster_module
from rollout.actions import WriteEntry, WriteRoute, WriteStatus
from rollout.objects import ENTRY_LABEL, Names
from rollout.protocol import give, tick
from rollout.record import digest, recompute
from rollout.status import OrderKind, Phase

from components import naming
from examples.demo_rollout import failing_pod
from examples.demo_rollout.callers import Callers
from examples.demo_rollout.lab_stack import SMALL
from pod_parts.api_server import ApiError
from slipway import images
from slipway.cluster.kube_api import KubeApi
from slipway.engine import stack_api
from slipway.rollouts.live import Live, State
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.kube import wait_until
from tests.support.own_stack import OwnStack

pytestmark = pytest.mark.calm
STACK, SERVER, MODEL = "models.rollout", "rolled", "employment"
PREFIX = "/rolled/v1"
SCRAPE_SECONDS = 2
"""As the lab's platform has it."""
TICK_SECONDS = 2
INTERVAL_SECONDS = 10
WRITES = (WriteEntry, WriteRoute, WriteStatus)


def settings(stable: str, canary: str, names: list[str], **more: Any) -> dict[str, Any]:
    rollout = {
        "from": stable,
        "to": canary,
        "steps": [{"weight": 50}],
        "interval_seconds": INTERVAL_SECONDS,
        "min_intervals": 2,
        "deadline_hours": 1,
    }
    server = {
        **SMALL,
        "model": MODEL,
        "route": {"prefix": PREFIX},
        "revisions": {name: {"model_image": MODEL} for name in names},
        "rollout": rollout | more,
    }
    return {
        "platform": {"scrape_interval_seconds": SCRAPE_SECONDS},
        "delivery": {"tick_seconds": TICK_SECONDS},
        "models": {SERVER: server},
    }


class Rolled:
    """The stack, its rollout, and somebody who calls all the time."""

    def __init__(
        self, cluster: Cluster, stack: OwnStack, live: Live, prefix: str = PREFIX
    ) -> None:
        self.cluster, self.stack, self.live = cluster, stack, live
        self.url = f"{cluster.urls['gateway']}{prefix}/infer"
        self.body = oip.request(images.real_rows(MODEL, 1)[0])

    def up(self, stable: str, canary: str, *names: str, **more: Any) -> None:
        self.stack.up(**settings(stable, canary, [*names], **more))

    def callers(self) -> Callers:
        return Callers(self.url, self.body)

    def until(self, wanted: Any, seconds: float, what: str) -> State:
        """The first state that is wanted; told with the last one if there is none."""
        last: list[State] = []

        def look() -> State | None:
            last[:] = [self.live.state()]
            return last[0] if wanted(last[0]) else None

        try:
            found: State = wait_until(look, seconds, what, pause=0.5)
        except AssertionError as error:
            raise AssertionError(f"{error}; last: {last}") from None
        return found

    def weight(self, canary: str) -> int:
        return self.live.state().route.weights.get(canary, 0)


@contextmanager
def rolled_out(
    cluster: Cluster, root: Path, content: dict[str, Any], prefix: str = PREFIX
) -> Iterator[Rolled]:
    """The stack with these settings, which have one server, for a while."""
    stack, (server,) = OwnStack(STACK, root), content["models"]
    # Records stay in a cluster when the stack goes: those of an earlier run of these.
    chosen = ("-n", "models", "-l", f"{ENTRY_LABEL}={server}")
    cluster.kube.run("delete", "configmap", *chosen)
    try:
        stack.up(**content)
        with stack_api.of_stack(STACK, root) as api:
            yield Rolled(cluster, stack, Live(api, Names("models", server)), prefix)
    finally:
        stack.down()


@pytest.fixture(scope="module")
def rolled(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rolled]:
    # So many intervals that nothing is decided until the settings change.
    content = settings("first", "second", ["first", "second"], min_intervals=300)
    with rolled_out(cluster, tmp_path_factory.mktemp("rolled"), content) as found:
        yield found


def is_at(canary: str, weight: int) -> Any:
    return lambda state: state.route.weights.get(canary) == weight


def counted(state: State) -> bool:
    """Both revisions were counted in two intervals: gateway and Prometheus agree."""
    found = (state.look or {}).get("judgements") or []
    return bool(found) and all(it["intervals"] >= 2 for it in found)


@contextmanager
def without_prometheus(cluster: Cluster) -> Iterator[None]:
    name = ("statefulset/prometheus", "-n", naming.MONITORING_NAMESPACE)
    cluster.kube.run("scale", *name, "--replicas=0")
    try:
        yield
    finally:
        cluster.kube.run("scale", *name, "--replicas=1")
        cluster.kube.run("rollout", "status", *name, "--timeout=120s")


def test_the_first_step_begins_and_both_revisions_are_counted(rolled: Rolled) -> None:
    with rolled.callers() as callers:
        rolled.until(is_at("second", 50), 60, "the first step")
        found = rolled.until(counted, 90, "counts of both revisions")
    (errors,) = found.look["judgements"] if found.look else [{}]
    assert errors["bad"] == [0, 0], errors
    assert callers.failures == {}
    assert set(callers.answers) == {"first", "second"}


def test_up_and_a_killed_controller_change_no_weight(rolled: Rolled) -> None:
    with rolled.callers() as callers:
        for _ in range(3):
            selector = f"app.kubernetes.io/instance={naming.ROLLOUT_CONTROLLER}"
            rolled.cluster.kube.run(
                *("delete", "pod", "-n", "models", "-l", selector),
                *("--grace-period=0", "--force", "--wait=false"),
            )
            assert rolled.weight("second") == 50
        rolled.up("first", "second", "first", "second", min_intervals=300)
        assert rolled.weight("second") == 50
        rolled.cluster.kube.rollout(naming.ROLLOUT_CONTROLLER)
        rolled.until(lambda it: it.look is not None, 60, "the controller looks again")
    assert rolled.weight("second") == 50
    assert callers.failures == {}


def test_without_prometheus_it_holds(rolled: Rolled) -> None:
    def blind(state: State) -> bool:
        return "could not be read" in (state.look or {}).get("reason", "")

    with rolled.callers(), without_prometheus(rolled.cluster):
        rolled.until(blind, 60, "it says that it sees nothing")
        assert rolled.weight("second") == 50


def test_other_settings_wait_for_a_person_and_then_it_is_promoted(
    rolled: Rolled,
) -> None:
    with rolled.callers() as callers:
        rolled.up(
            *("first", "second", "first", "second"),
            gates={"errors": {"tolerate_points": 5}},
        )
        rolled.until(
            lambda it: "slipway rollout resume" in (it.look or {}).get("reason", ""),
            30,
            "changed settings stop it",
        )
        assert rolled.weight("second") == 50
        rolled.live.run(give(OrderKind.RESUME, who="test", why="fewer intervals"))
        found = rolled.until(is_at("second", 100), 120, "the promotion")
        rolled.until(
            lambda it: it.status and it.status.phase is Phase.PROMOTED, 20, "its end"
        )
    assert callers.failures == {}
    assert found.route.weights == {"first": 0, "second": 100}


def test_a_revision_with_two_percent_errors_is_taken_back(rolled: Rolled) -> None:
    """The next pair; the first revision goes once the route does not name it."""
    rolled.up("second", "third", "first", "second", "third", steps=[{"weight": 20}])
    deployment = rolled.cluster.kube.get("deployment", f"{SERVER}-third")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    pod = failing_pod.manifest(labels, f"{SERVER}-third-bad")
    rolled.cluster.kube.apply(pod)
    try:
        with rolled.callers() as callers:
            rolled.until(is_at("third", 20), 60, "the step of the bad revision")
            rolled.up("second", "third", "second", "third", steps=[{"weight": 20}])
            rolled.until(is_at("third", 0), 120, "it is taken back")
            rolled.until(
                lambda it: it.status and it.status.phase is Phase.BACK, 20, "its end"
            )
    finally:
        rolled.cluster.kube.delete(pod)
    entry = rolled.live.entries()[-1]
    *_, newest = entry["facts"]["counts"]["errors"]["intervals"]
    # After the interval that proves it, the next one is not waited for.
    assert entry["facts"]["now"] - (newest[0] + INTERVAL_SECONDS) < INTERVAL_SECONDS + 2
    # What failed are the bad pod's own answers.
    assert set(callers.failures) <= {"500"}, callers.failures
    answer = httpx.post(
        rolled.url,
        content=rolled.body,
        headers={"content-type": "application/json"},
        timeout=20,
    )
    assert answer.headers["x-model-revision"] == "second"


def test_a_canary_that_crashes_has_no_weight_a_tick_later(rolled: Rolled) -> None:
    """Its pod goes, and each new one ends at once: nothing counts its requests."""
    pair = ("second", "fourth", "second", "third", "fourth")
    rolled.up(*pair, steps=[{"weight": 20}], min_intervals=300)
    name = f"{SERVER}-fourth"
    with rolled.callers():
        rolled.until(is_at("fourth", 20), 60, "the step of the fourth revision")
        crash(rolled.cluster, name)
        wait_until(lambda: not ready(rolled.cluster, name), 60, "no replica", pause=0.2)
        gone = time.monotonic()
        rolled.until(is_at("fourth", 0), 20, "weight 0")
        # A tick, and what each look at the whole state takes.
        assert time.monotonic() - gone < TICK_SECONDS + 3
        rolled.until(
            lambda it: it.status and it.status.phase is Phase.BACK, 20, "its end"
        )
    entry = rolled.live.entries()[-1]
    assert entry["reason"] == "the canary has no ready replica"
    assert entry["judgements"] == []
    with Callers(rolled.url, rolled.body, most=100) as after:
        after.wait()
    assert (after.failures, after.answers) == ({}, {"second": 100})


def crash(cluster: Cluster, name: str) -> None:
    """Let the pods of a Deployment end as soon as they begin, the present one too."""
    spec = cluster.kube.get("deployment", name)["spec"]["template"]["spec"]
    ends = ["python3", "-c", "raise SystemExit(1)"]
    container = {"name": spec["containers"][0]["name"], "command": ends}
    change = {
        "strategy": {"type": "Recreate", "rollingUpdate": None},
        "template": {"spec": {"containers": [container]}},
    }
    patch = json.dumps({"spec": change})
    target = ("deployment", name, "-n", "models")
    cluster.kube.run("patch", *target, "--type=strategic", "-p", patch)


def ready(cluster: Cluster, name: str) -> int:
    """Ready replicas as the controller reads them."""
    status = cluster.kube.get("deployment", name).get("status", {})
    return int(status.get("readyReplicas", 0))


class Direct:
    """The client of the controller's code, by the tests' access to the API server."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    def get(self, path: str) -> Any:
        found = self._api.get(path)
        if found is None:  # Prometheus' paths too: no order needs counts
            raise ApiError(path, HTTPStatus.NOT_FOUND)
        return found

    def ask(self, method: str, path: str, body: Any) -> None:
        if method == "POST":
            self._api.create(path, body)
        elif not self._api.replace(path, body):
            raise ApiError(path, HTTPStatus.CONFLICT)


def die_after(rolled: Rolled, writes: int) -> list[type]:
    """Be a controller until so many writes are made; return their kinds."""
    api: Any = Direct(rolled.live.api)
    controller = cluster_module.Cluster(api, api, rolled.live.names)
    actor, made = tick(), []
    call = next(actor)
    while True:
        answer = controller.answer(call)
        if isinstance(call, WRITES):
            assert answer is True, call
            made.append(type(call))
            if len(made) == writes:
                return made
        call = actor.send(answer)


@contextmanager
def without_controller(cluster: Cluster) -> Iterator[None]:
    name = f"deployment/{naming.ROLLOUT_CONTROLLER}"
    selector = f"app.kubernetes.io/instance={naming.ROLLOUT_CONTROLLER}"
    cluster.kube.run("scale", name, "-n", "models", "--replicas=0")
    try:
        gone = ("pod", "-n", "models", "-l", selector, "--timeout=60s")
        cluster.kube.run("wait", "--for=delete", *gone)
        yield
    finally:
        cluster.kube.run("scale", name, "-n", "models", "--replicas=1")


@pytest.mark.parametrize("writes", [1, 2, 3, 4])
def test_a_decision_of_a_controller_that_died_is_finished_once(
    rolled: Rolled, writes: int
) -> None:
    weight, why = 20 + 10 * writes, f"dies after {writes} writes"
    with without_controller(rolled.cluster):
        rolled.live.run(give(OrderKind.PROMOTE, who="test", why=why, weight=weight))
        made = die_after(rolled, writes)
    assert made == [WriteStatus, WriteRoute, WriteEntry, WriteStatus][:writes]

    def is_finished(state: State) -> bool:
        status = state.status
        return (
            status is not None
            and status.order_done == status.order_number
            and status.intent is None
        )

    found = rolled.until(is_finished, 60, "the decision is finished")
    assert found.route.weights["fourth"] == weight
    mine = [it for it in rolled.live.entries() if it["reason"].endswith(why)]
    assert [it["weights"]["after"] for it in mine] == [weight]


def test_each_decision_can_be_computed_again_and_none_is_missing(
    rolled: Rolled,
) -> None:
    entries = rolled.live.entries()
    verdicts = [entry["verdict"] for entry in entries]
    wanted = ["promote", "order", "promote", "promote", "rollback"]
    wanted += ["promote", "rollback", *["order"] * 4]
    assert verdicts == wanted
    previous = ""
    for entry in entries:
        _, differences = recompute(entry)
        assert differences == []
        assert entry["previous"] == previous
        previous = digest(entry)
    status = rolled.live.status()
    assert status
    assert status.head == previous
