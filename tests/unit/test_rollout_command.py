"""`slipway rollout` against an API server in memory, with the controller beside it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from rollout import cluster as controller
from rollout import page
from rollout.cluster import Cluster
from rollout.objects import ENTRY_LABEL, FENCE, SETTINGS_KEY
from rollout.protocol import give, tick
from rollout.settings import Step
from rollout.status import OrderKind
from rollout.verdict import Outcome

from slipway.cli import cli
from slipway.cluster import pod_exec
from slipway.cluster.kube_api import KubeApi
from slipway.cluster.pod_exec import Done
from slipway.engine import stack_api
from slipway.rollouts import command, options
from slipway.rollouts.live import Live, State
from tests.support.rollout_api import NAMES, Served, objects, serve
from tests.support.rollouts import SETTINGS

NONE: list[dict[int, float]] = []
POD = {
    "metadata": {"name": "rollout-controller-1"},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}


class World:
    """The API server, and a controller that looks when somebody waits for it."""

    def __init__(self, served: Served, controller: Cluster) -> None:
        self.served, self.controller = served, controller
        self.outcome: Outcome | None = None
        self.works = True

    def tick(self) -> None:
        if self.works:
            wait = self.controller.run(tick())
            self.outcome = wait.outcome if wait else None

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, content = request.url.path, request.content
        if path.endswith("selfsubjectreviews"):
            user = {"status": {"userInfo": {"username": "ann@example.com"}}}
            return httpx.Response(201, json=user)
        if path.endswith("/pods"):
            return httpx.Response(200, json={"items": [POD]})
        if path == NAMES.config_maps and request.method == "GET":
            assert request.url.params["labelSelector"] == f"{ENTRY_LABEL}=m"
            # Lists come by name, not by age.
            names = sorted(it for it in self.served.objects if "rollout-entry-" in it)
            found = [self.served.objects[name] for name in names]
            return httpx.Response(200, json={"items": found})
        body = json.loads(content) if content else None
        status, found = self.served.answer(request.method, path, body)
        return httpx.Response(status, json=copy.deepcopy(found))

    def run_in_pod(self, *_: Any, command: list[str], **__: Any) -> Done:
        assert command[-1] == "http://127.0.0.1:9479/rollouts/m"
        found = page.look(self.outcome) if self.outcome else None
        return Done(0, json.dumps(found).encode(), "")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    served = Served(objects(SETTINGS), {"": NONE})
    with serve(served) as api:
        found = World(served, Cluster(api, api, NAMES, clock=lambda: 1000))
        transport = httpx.MockTransport(found.answer)

        @contextmanager
        def reach(*_: Any) -> Iterator[KubeApi]:
            yield KubeApi(httpx.Client(base_url="https://api", transport=transport))

        platform = SimpleNamespace(namespace="models")
        settings = SimpleNamespace(models={"m": None}, platform=platform)
        monkeypatch.setattr(stack_api, "of_stack", reach)
        monkeypatch.setattr(options.stack_settings, "load", lambda *_: settings)
        monkeypatch.setattr(pod_exec, "run", found.run_in_pod)
        monkeypatch.setattr(command, "sleep", lambda _: found.tick())
        monkeypatch.setattr(command.getpass, "getuser", lambda: "ann")
        # The controller's own lines would be among the command's.
        monkeypatch.setattr(controller, "log", lambda *_, **__: None)
        yield found


def run(*words: str, status: int = 0) -> Result:
    done = CliRunner().invoke(cli, ["rollout", *words])
    assert done.exit_code == status, done.output
    return done


def test_status_says_what_is_where(world: World) -> None:
    assert "the controller has not begun" in run("status", "m").output
    world.tick()
    text = run("status", "m").output
    assert text.startswith("m: a -> b, 5 % of the requests, step 1 of 2 since 1970-")
    assert "hold: " in text
    found = json.loads(run("status", "m", "--json").output)
    assert found["weights"] == {"a": 95, "b": 5}
    assert (found["status"]["step"], found["look"]["verdict"]) == (0, "hold")
    assert not found["settings_changed"]


def test_a_controller_that_cannot_be_asked_is_said_and_no_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.tick()
    monkeypatch.setattr(pod_exec, "run", lambda *_, **__: Done(1, b"", "\u202eno"))
    text = run("status", "m").output
    assert "last look is not known" in text
    assert "\u202e" not in text


def test_an_order_stands_until_it_is_cleared(world: World) -> None:
    world.tick()
    text = run("pause", "m", "--why", "lunch").output
    assert "the new revision has 5 %" in text
    assert "until `slipway rollout resume`" in text
    metadata = world.served.objects[NAMES.route]["metadata"]
    assert metadata["annotations"][FENCE] == "order-1"
    assert "hold: pause by ann (ann@example.com): lunch" in run("status", "m").output
    found = json.loads(run("back", "m", "--why", "bad", "--json").output)
    assert (found["order"], found["done"], found["weight"]) == (2, True, 0)
    assert world.served.weights() == [100, 0]
    # Settings that it began with: the gates decide again, from no weight.
    assert "resume" in run("resume", "m", "--why", "mended").output


def test_promote_goes_to_the_next_step_unless_told_otherwise(world: World) -> None:
    world.tick()
    run("promote", "m", "--why", "approved")
    assert world.served.weights() == [75, 25]
    run("promote", "m", "--why", "approved")
    assert world.served.weights() == [0, 100]
    run("promote", "m", "--why", "slower", "--weight", "60")
    assert world.served.weights() == [40, 60]


def test_promote_takes_one_step_from_where_the_rollout_is_by_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The controller takes a step between the command's reading and its order."""
    world.tick()
    state = Live.state

    def late(live: Live) -> State:
        found = state(live)
        other = give(OrderKind.PROMOTE, who="bob", why="x", weight=25)
        world.controller.run(other)
        world.tick()
        return found

    monkeypatch.setattr(Live, "state", late)
    run("promote", "m", "--why", "approved")
    assert world.served.weights() == [0, 100]


def test_promote_skips_no_step_that_is_under_way(world: World) -> None:
    """The route has its weights already, and the status not yet."""
    world.tick()
    world.controller.run(give(OrderKind.PROMOTE, who="bob", why="x", weight=25))
    actor, answer = tick(), None
    while world.served.weights() != [75, 25]:
        answer = world.controller.answer(actor.send(answer))
    run("promote", "m", "--why", "approved")
    assert world.served.weights() == [75, 25]


def test_promote_guesses_no_step_from_weights_of_others(world: World) -> None:
    world.tick()
    world.served.objects[NAMES.route]["spec"]["rules"][0]["backendRefs"] = [
        {"name": "m-a", "weight": 75},
        {"name": "m-b", "weight": 25},
    ]
    said = run("promote", "m", "--why", "approved", status=1).output
    assert "others have changed the canary's weight from 5 to 25" in said
    assert "give --weight" in said
    run("promote", "m", "--why", "approved", "--weight", "50")
    assert world.served.weights() == [50, 50]


def test_promote_needs_a_weight_for_a_pair_that_has_not_begun(world: World) -> None:
    world.tick()
    run("back", "m", "--why", "bad")
    data = world.served.objects[NAMES.settings]["data"]
    data[SETTINGS_KEY] = json.dumps(replace(SETTINGS, stable="b", canary="a").plain())
    said = run("promote", "m", "--why", "next", status=1).output
    assert "b -> a has not begun; the rollout before is a -> b" in said


def ready(world: World, canary: int | None, stable: int = 9) -> None:
    for name, replicas in (("m-b", canary), ("m-a", stable)):
        status = {} if replicas is None else {"readyReplicas": replicas}
        world.served.objects[NAMES.deployment(name)]["status"] = status


@pytest.mark.parametrize(
    ("canary", "weight", "said"),
    [
        (2, (), "25 % needs 3 ready replicas of the new revision, it has 2, 1 too few"),
        (8, ("--weight", "100"), "100 % needs 9 ready replicas of the new revision"),
        (None, ("--weight", "6"), "6 % needs 1 ready replicas of the new revision"),
    ],
)
def test_promote_needs_ready_replicas(
    world: World, canary: int | None, weight: tuple[str, ...], said: str
) -> None:
    world.tick()
    ready(world, canary)
    words = ("promote", "m", "--why", "approved", *weight)
    assert said in run(*words, status=1).output
    assert world.served.weights() == [95, 5]
    run(*words, "--despite-replicas")
    assert world.served.weights() != [95, 5]


def test_less_weight_and_a_rollback_need_no_replicas(world: World) -> None:
    world.tick()
    run("promote", "m", "--why", "approved", "--weight", "60")
    ready(world, 1)
    run("promote", "m", "--why", "slower", "--weight", "50")
    assert world.served.weights() == [50, 50]
    ready(world, 5)
    run("promote", "m", "--why", "again", "--weight", "55")
    del world.served.objects[NAMES.deployment("m-b")]
    assert "it has 0" in run("promote", "m", "--why", "all", status=1).output
    run("back", "m", "--why", "bad")
    assert world.served.weights() == [100, 0]


def test_an_approval_is_no_promotion_and_leaves_the_gates_on(world: World) -> None:
    careful = replace(SETTINGS, steps=(Step(5), Step(25, approval=True)))
    data = world.served.objects[NAMES.settings]["data"]
    data[SETTINGS_KEY] = json.dumps(careful.plain())
    world.tick()
    text = run("approve", "m", "--why", "the board agrees").output
    assert "25 % is approved; the new revision has 5 %" in text
    assert "until `slipway rollout resume`" not in text
    assert "hold: errors: 0 intervals of 2" in run("status", "m").output
    assert "25 % is approved by ann" in run("status", "m").output
    assert "order, b from 5 % to 5 %" in run("explain", "m").output
    run("pause", "m", "--why", "lunch")
    done = run("approve", "m", "--why", "again", status=1)
    assert "m: pause by ann (ann@example.com) holds it" in done.output


def test_an_order_that_nobody_carries_out_is_reported(world: World) -> None:
    world.tick()
    world.works = False
    done = run("back", "m", "--why", "bad", status=1)
    assert "has not carried it out within 60 s" in done.output
    assert "back by ann" in run("status", "m").output
    assert "order under way" in run("status", "m").output


def test_an_order_that_a_newer_one_calls_off_has_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.tick()

    def other(_: float) -> None:
        world.controller.run(give(OrderKind.PAUSE, who="bob", why="lunch"))
        world.tick()

    monkeypatch.setattr(command, "sleep", other)
    done = run("promote", "m", "--why", "approved", status=1)
    assert "promote is called off by order 2 of bob: pause" in done.output
    assert world.served.weights() == [95, 5]


def test_the_next_pair_does_not_show_how_the_last_one_ended(world: World) -> None:
    world.tick()
    run("back", "m", "--why", "bad")
    assert ", taken back" in run("status", "m").output
    data = world.served.objects[NAMES.settings]["data"]
    changed = replace(SETTINGS, deadline_hours=24.0)
    data[SETTINGS_KEY] = json.dumps(changed.plain())
    text = run("status", "m").output
    assert ("taken back" in text, "settings have changed" in text) == (False, True)
    changed = replace(SETTINGS, stable="b", canary="a")
    data[SETTINGS_KEY] = json.dumps(changed.plain())
    text = run("status", "m").output
    assert "m: b -> a, 100 % of the requests\n" in text
    assert "not begun; the one before: a -> b" in text


def test_an_order_asks_for_its_reason_and_for_a_rollout(world: World) -> None:
    assert "--why" in run("pause", "m", status=2).output
    assert "no rollout has begun" in run("pause", "m", "--why", "x", status=1).output
    assert "it has: m" in run("status", "n", status=1).output
    del world.served.objects[NAMES.settings]
    assert "set rollout in its settings" in run("status", "m", status=1).output


def test_a_write_that_another_order_overtakes_is_tried_again(world: World) -> None:
    world.tick()
    answer, lost = world.served.put, []

    def slow(path: str, content: dict[str, Any]) -> tuple[int, Any]:
        if path == NAMES.status and not lost:
            lost.append(path)
            metadata = world.served.objects[path]["metadata"]
            version = int(metadata["resourceVersion"])
            metadata["resourceVersion"] = str(version + 1)
        return answer(path, content)

    world.served.put = slow  # type: ignore[method-assign]
    run("pause", "m", "--why", "lunch")
    assert lost


def test_a_decision_is_computed_again_from_its_record_alone(
    world: World, tmp_path: Path
) -> None:
    assert "has no decisions yet" in run("explain", "m", status=1).output
    world.tick()
    run("promote", "m", "--why", "approved")
    assert "order, b from 5 % to 25 %" in run("explain", "m").output
    first = "m-1000-1"
    found = json.loads(run("explain", "m", "--entry", first, "--json").output)
    assert (found["id"], found["differences"]) == (first, [])
    assert found["recorded"]["weights"] == {"after": 5, "before": 0}
    assert first in run("explain", "m", "--entry", "m-1-1", status=1).output
    path = f"{NAMES.config_maps}/rollout-entry-{first}"
    entry = json.loads(world.served.objects[path]["data"]["entry.json"])
    file = tmp_path / "entry.json"
    file.write_text(json.dumps(entry | {"verdict": "rollback"}))
    wrong = run("explain", "m", "--file", str(file), status=1).output
    assert "the entry says rollback, its facts give promote" in wrong
    file.write_text("{}")
    assert "not the record" in run("explain", "m", "--file", str(file), status=1).output


def test_a_decision_that_waits_for_the_ledger_is_explained_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = (403, {"reason": "exceeded quota"})
    monkeypatch.setattr(world.served, "post", lambda *_: refused)
    world.tick()
    found = json.loads(run("status", "m", "--json").output)
    assert found["status"]["pending"] == ["m-1000-1"]
    text = run("status", "m").output
    assert "not in the ledger yet: m-1000-1" in text
    assert "exceeded quota" in text
    assert "promote, b from 0 % to 5 %" in run("explain", "m").output


def test_watching_ends_with_the_rollout(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.tick()
    looks = 0

    def ends(_: float) -> None:
        nonlocal looks
        looks += 1
        world.tick()
        if looks == 2:
            run("promote", "m", "--why", "all", "--weight", "100")

    monkeypatch.setattr(command, "sleep", ends)
    output = run("status", "m", "--watch", "--json").output
    states = [json.loads(line) for line in output.splitlines()]
    assert [it["weights"]["b"] for it in states] == [5, 5, 100]


def test_the_record_of_all_decisions_is_verified(world: World) -> None:
    assert run("verify", "m").output == "m: no decisions yet\n"
    world.tick()
    run("promote", "m", "--why", "approved")
    found = json.loads(run("verify", "m", "--json").output)
    assert (found["decisions"], found["fault"], found["verified"]) == (2, None, True)
    text = run("verify", "m", "--head", found["head"]).output
    assert text == f"m: 2 decisions, head {found['head']}\n"
    del world.served.objects[f"{NAMES.config_maps}/rollout-entry-m-1000-1"]
    wrong = run("verify", "m", status=1).output
    assert wrong.startswith("m: the entry before m-1000-2 is missing: ")
    assert not json.loads(run("verify", "m", "--json", status=1).output)["verified"]
