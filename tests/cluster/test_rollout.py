"""A revision is promoted by evidence, and another one is taken back, on the gateway.

Both new revisions are the same model as the first one. The bad one has a pod beside
its own that answers every 25th request with 500: half of the revision's requests meet
it, so 2 % of them fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from rollout.objects import ENTRY_LABEL, Names
from rollout.protocol import give
from rollout.record import digest, recompute
from rollout.status import OrderKind, Phase

from components import naming
from examples.demo_rollout import failing_pod
from examples.demo_rollout.callers import Callers
from examples.demo_rollout.lab_stack import SMALL
from slipway import images
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


def settings(stable: str, canary: str, names: list[str], **more: Any) -> dict[str, Any]:
    rollout = {
        "from": stable,
        "to": canary,
        "steps": [{"weight": 50}],
        "interval_seconds": 10,
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
        "delivery": {"tick_seconds": 2},
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
    # What failed are the bad pod's own answers.
    assert set(callers.failures) <= {"500"}, callers.failures
    answer = httpx.post(
        rolled.url,
        content=rolled.body,
        headers={"content-type": "application/json"},
        timeout=20,
    )
    assert answer.headers["x-model-revision"] == "second"


def test_each_decision_can_be_computed_again_and_none_is_missing(
    rolled: Rolled,
) -> None:
    entries = rolled.live.entries()
    verdicts = [entry["verdict"] for entry in entries]
    wanted = ["promote", "order", "promote", "promote", "rollback"]
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
