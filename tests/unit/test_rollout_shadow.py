"""The shadow step: copies at weight 0, judged like requests, then the first step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rollout import explain, mirror, protocol
from rollout.actions import WriteRoute
from rollout.facts import Ready
from rollout.objects import LEAST, PARTS, Place, read_route, with_route
from rollout.protocol import give, tick
from rollout.record import recompute
from rollout.seen import Route
from rollout.settings import SettingsError, read
from rollout.status import OrderKind, Phase
from rollout.verdict import Verdict

from slipway.rollouts import show
from slipway.rollouts.live import State
from tests.support.rollouts import BAD, GOOD, LITTLE, SETTINGS, World

SHADOWED = replace(SETTINGS, shadow_percent=20)


def world(**more: Any) -> World:
    found = World(settings=SHADOWED, **more)
    protocol.run(tick(), found.answer)
    return found


def step(found: World, counts: Any = LITTLE) -> Any:
    """One tick; the step that follows a decision has few counts."""
    looks = iter([counts])

    def look() -> Any:
        now = next(looks, LITTLE)
        return None if now is None else {"errors": now}

    found.counts = look
    return found.run(tick())


def order(found: World, kind: OrderKind) -> None:
    found.run(give(kind, who="ann", why="x"))
    found.run(tick())


def where(found: World) -> tuple[int, int]:
    """Weight and share of copies of the canary, on the route and in the status."""
    route, status = found.route, found.status
    assert status
    at = route.weight(found.settings), route.mirror(found.settings)
    assert at == (status.weight, status.mirror)
    return status.weight, status.mirror


def consistent(found: World) -> None:
    """Each decision can be computed again from its record alone."""
    for entry in found.ledger.values():
        assert recompute(entry)[1] == []


def test_copies_come_before_the_first_step() -> None:
    found = world()
    assert where(found) == (0, 20)
    assert found.status
    assert found.status.phase is Phase.RUNNING
    (entry,) = found.ledger.values()
    assert (entry["verdict"], entry["mirrors"]) == (
        Verdict.SHADOW,
        {"before": 0, "after": 20},
    )
    assert step(found).outcome.verdict is Verdict.HOLD
    assert where(found) == (0, 20)
    step(found, GOOD)
    assert where(found) == (5, 0)
    assert found.status.step == 0
    consistent(found)


def test_the_step_counts_from_when_copies_began() -> None:
    found = world(now=1000)
    assert found.status
    assert found.status.started > found.status.begun


def test_harm_on_copies_ends_the_rollout() -> None:
    found = world()
    step(found, BAD)
    assert where(found) == (0, 0)
    assert found.status
    assert found.status.phase is Phase.BACK
    consistent(found)


@pytest.mark.parametrize("counts", [None, LITTLE])
def test_without_enough_counts_copies_go_on(counts: Any) -> None:
    found = world()
    step(found, counts)
    assert where(found) == (0, 20)


def test_without_a_ready_replica_there_are_no_copies() -> None:
    found = world(ready=Ready(0, 9))
    assert where(found) == (0, 0)
    assert "ready replica" in step(found).outcome.reason
    found.ready = Ready(1, 9)
    step(found)
    assert where(found) == (0, 20)
    found.ready = Ready(0, 9)
    step(found)
    assert where(found) == (0, 0)
    assert found.status
    assert found.status.phase is Phase.BACK


def test_the_deadline_ends_copies() -> None:
    found = world()
    found.now += round(SHADOWED.deadline_hours * 3600)
    step(found)
    assert where(found) == (0, 0)
    assert [*found.ledger.values()][-1]["verdict"] == Verdict.EXPIRED


def test_a_pause_keeps_copies_and_the_others_end_them() -> None:
    found = world()
    order(found, OrderKind.PAUSE)
    step(found, GOOD)
    assert where(found) == (0, 20)
    order(found, OrderKind.RESUME)
    assert where(found) == (0, 20)
    order(found, OrderKind.BACK)
    assert where(found) == (0, 0)
    order(found, OrderKind.RESUME)
    step(found)
    assert where(found) == (0, 20)
    order(found, OrderKind.PROMOTE)
    assert where(found) == (100, 0)


@pytest.mark.parametrize(("percent", "then"), [(50, (0, 50)), (0, (5, 0))])
def test_another_share_begins_by_resume(percent: int, then: tuple[int, int]) -> None:
    found = world()
    found.settings = replace(SHADOWED, shadow_percent=percent)
    assert step(found, GOOD).outcome.verdict is Verdict.STOP
    assert where(found) == (0, 20)
    order(found, OrderKind.RESUME)
    step(found)
    assert where(found) == then
    consistent(found)


def test_a_canary_with_requests_gets_no_copies() -> None:
    """A person may give it less than the first step's weight."""
    found = world()
    found.run(give(OrderKind.PROMOTE, who="ann", why="x", weight=2))
    found.run(tick())
    assert where(found) == (2, 0)
    order(found, OrderKind.RESUME)
    step(found)
    assert where(found) == (5, 0)


def test_new_rules_keep_the_copies() -> None:
    found = world()
    found.route = replace(found.route, stale=True)
    step(found)
    assert not found.route.stale
    assert where(found) == (0, 20)


def test_copies_that_somebody_else_took_away_stop_it() -> None:
    found = world()
    found.route = replace(found.route, mirrors={})
    outcome = step(found, GOOD).outcome
    assert outcome.verdict is Verdict.STOP
    assert "copies of 20 %" in outcome.reason


def test_copies_of_another_revision_go() -> None:
    route = Route("1", {"a": 100, "b": 0}, mirrors={"z": 10}, stale=True)
    assert where(world(route=route)) == (0, 20)


def test_no_other_rollout_has_a_word_of_it_in_its_records() -> None:
    plain = SETTINGS.plain()
    assert "shadow_percent" not in plain
    assert read(SHADOWED.plain()) == SHADOWED
    with pytest.raises(SettingsError, match="shadow_percent: 101"):
        read(plain | {"shadow_percent": 101})


def test_people_see_the_copies() -> None:
    found = world()
    (entry,) = found.ledger.values()
    text = explain.lines(entry, *recompute(entry))
    assert "copies from 0 % to 20 %" in [*text]
    state = State(found.settings, found.status, found.route, look=None)
    first, *_ = show.lines(state)
    assert "0 % of the requests and copies of 20 %, shadow step since" in first
    assert show.plain(state)["mirrors"] == {"b": 20}
    step(found, GOOD)
    first, *_ = show.lines(State(found.settings, found.status, found.route, look=None))
    assert "5 % of the requests, step 1 of 2 since" in first


PLACES = {it: Place(f"m-{it}", f"m-{it}") for it in "ab"}


def rule(*filters: Any) -> dict[str, Any]:
    backends = [
        {"group": "", "kind": "Service", "name": f"m-{it}", "port": 80, "weight": w}
        for it, w in (("a", 100 * PARTS), ("b", LEAST))
    ]
    return {"filters": [*filters], "backendRefs": backends}


def test_the_route_says_what_is_copied_and_to_whom() -> None:
    header = {"remove": ["authorization", "X-Model-Shadow"]}
    wanted = [
        rule({"type": mirror.HEADERS, "requestHeaderModifier": header}),
        rule(),
    ]
    route = {"metadata": {"resourceVersion": "7"}, "spec": {"rules": []}}
    write = WriteRoute("7", weights={"a": 100, "b": 0}, mirrors={"b": 20})
    made = with_route(route, write, PLACES, wanted)
    first, second = made["spec"]["rules"]
    assert first["filters"][0]["requestHeaderModifier"] == {
        "remove": ["authorization"],
        "set": [{"name": "x-model-shadow", "value": "b"}],
    }
    for one in (first, second):
        assert [it["weight"] for it in one["backendRefs"]] == [100 * PARTS, 0]
        assert one["filters"][-1]["requestMirror"] == {
            "backendRef": {"group": "", "kind": "Service", "name": "m-b", "port": 80},
            "percent": 20,
        }
    assert read_route(made, PLACES, wanted).mirrors == {"b": 20}
    ended = with_route(made, replace(write, mirrors={}), PLACES, wanted)
    assert ended["spec"]["rules"] == wanted
    assert read_route(ended, PLACES, wanted).mirrors == {}


def test_rules_that_do_not_agree_copy_nothing_that_is_known() -> None:
    wanted = [rule(), rule()]
    route = {"metadata": {"resourceVersion": "7"}, "spec": {"rules": []}}
    write = WriteRoute("7", weights={"a": 100, "b": 0}, mirrors={"b": 20})
    made = with_route(route, write, PLACES, wanted)
    del made["spec"]["rules"][1]["filters"]
    assert read_route(made, PLACES, wanted).mirrors == {}
