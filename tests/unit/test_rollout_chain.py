"""The chain of a rollout's records: links from the head to the first decision."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rollout import record
from rollout.actions import WriteEntry
from rollout.objects import ENTRY_KEY, Names
from rollout.protocol import give, tick
from rollout.status import OrderKind

from slipway.cluster.kube_api import KubeApiError
from slipway.rollouts import chain
from slipway.rollouts.live import Live
from tests.support.rollouts import GOOD, World

Objects = list[dict[str, Any]]


def test_a_decision_that_waits_for_the_ledger_is_no_fault() -> None:
    """Its entry is in the status, where a head leads to it all the same."""
    found = World(counts=lambda: {"errors": GOOD})
    found.run(tick())
    first = dict(found.ledger)
    found.run(give(OrderKind.PAUSE, who="ann", why="lunch"))
    found.run(tick())
    assert found.status
    waiting = tuple(it for name, it in found.ledger.items() if name not in first)
    assert waiting
    status = replace(found.status, pending=waiting)
    kept = [Names("models", "m").entry(one) for one in first.values()]
    checked = chain.check(kept, status)
    assert (checked.fault, checked.linked) == ("", len(found.ledger))
    assert "is missing" in chain.check(kept, found.status).fault


@pytest.fixture
def world() -> World:
    """Three decisions: the first step by its gates, and two orders."""
    found = World(counts=lambda: {"errors": GOOD})
    found.run(tick())
    for kind in (OrderKind.PAUSE, OrderKind.BACK):
        found.run(give(kind, who="ann", why="lunch"))
        found.run(tick())
    assert found.status
    assert len(found.ledger) >= 3
    return found


def objects(world: World) -> Objects:
    """As the API server lists them: by name, which is not by age."""
    made = [Names("models", "m").entry(one) for one in world.ledger.values()]
    return sorted(copy.deepcopy(made), key=lambda it: it["metadata"]["name"])


def rewrite(found: dict[str, Any], **change: Any) -> None:
    entry = json.loads(found["data"][ENTRY_KEY])
    found["data"][ENTRY_KEY] = json.dumps(entry | change)


def test_a_whole_chain_is_linked(world: World) -> None:
    found = chain.check(objects(world), world.status)
    assert found.fault == ""
    assert found.linked == len(world.ledger)
    assert world.status
    assert found.head == world.status.head != ""


def test_before_the_first_decision_there_is_nothing() -> None:
    assert chain.check([], None) == chain.Checked(0, "")


def _drop(found: Objects, place: int) -> None:
    del found[place]


def _forge(found: Objects, place: int) -> None:
    rewrite(found[place], reason="approved")


def _break(found: Objects, place: int) -> None:
    found[place]["data"] = {}


def _rename(found: Objects, place: int) -> None:
    found[place]["metadata"]["name"] += "0"


@pytest.mark.parametrize("place", [0, 1, -1])
@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (_drop, "is missing"),
        (_forge, "is changed: its digest is"),
        (_break, "is changed: KeyError"),
        (_rename, "0 is changed: ValueError('it holds the entry"),
    ],
)
def test_what_is_wrong_is_named(
    world: World, change: Callable[[Objects, int], None], wrong: str, place: int
) -> None:
    found = objects(world)
    name = found[place]["metadata"]["name"].removeprefix(chain.NAME)
    begun, number = name.rpartition("-")[::2]
    change(found, place)
    fault = chain.check(found, world.status).fault
    assert wrong in fault
    after = f"the entry before {begun}-{int(number) + 1} "
    assert name in fault or fault.startswith(after)


def test_the_newest_fault_is_named_first(world: World) -> None:
    found = objects(world)
    _forge(found, 0)
    _forge(found, 1)
    assert found[1]["metadata"]["name"] in chain.check(found, world.status).fault


def test_an_entry_that_nothing_names_is_unlinked(world: World) -> None:
    found = objects(world)
    extra = copy.deepcopy(found[0])
    extra["metadata"]["name"] = f"{chain.NAME}m-1-9"
    rewrite(extra, id="m-1-9")
    fault = chain.check([*found, extra], world.status).fault
    assert fault.startswith(f"{chain.NAME}m-1-9 is unlinked: ")


def test_a_chain_that_has_ended_needs_its_head(world: World) -> None:
    """The stack removed `rollout`, and the status with it, and set it again."""
    old, ended = objects(world), world.status
    assert ended
    assert "is unlinked" in chain.check(old, None).fault
    assert chain.check(old, None, [ended.head]) == chain.Checked(len(old), "")
    assert "is missing" in chain.check(old, None, ["0" * 64]).fault
    _forge(old, 0)
    assert "is changed" in chain.check(old, None, [ended.head]).fault


def test_a_decision_that_is_being_carried_out_is_no_fault() -> None:
    world = World(counts=lambda: {"errors": GOOD})
    actor = tick()
    call = next(actor)
    while not isinstance(call, WriteEntry):
        call = actor.send(world.answer(call))
    world.answer(call)
    assert world.status
    assert world.status.head == ""
    assert chain.check(objects(world), world.status).fault == ""
    intent = world.status.intent
    assert intent
    other = replace(intent, record=intent.record | {"reason": "another"})
    assert record.digest(other.record) != record.digest(intent.record)
    changed = replace(world.status, intent=other)
    assert "is unlinked" in chain.check(objects(world), changed).fault


class Api:
    """An API server whose status is another one at each read, so many times."""

    def __init__(self, world: World, changes: int) -> None:
        self.world, self.changes = world, changes

    def get(self, path: str) -> dict[str, Any]:
        assert path.endswith("-status")
        assert self.world.status
        status = self.world.status
        if self.changes:
            self.changes -= 1
            status = replace(status, head=f"{self.changes:064}")
        text = json.dumps(status.plain())
        return {"metadata": {"resourceVersion": "1"}, "data": {"status.json": text}}

    def items(self, _: str) -> Objects:
        return objects(self.world)


def test_status_and_entries_are_of_one_time(world: World) -> None:
    names = Names("models", "m")
    status, entries = Live(Api(world, 3), names).record()  # type: ignore[arg-type]
    assert status == world.status
    assert entries == objects(world)
    with pytest.raises(KubeApiError, match="run it again"):
        Live(Api(world, 100), names).record()  # type: ignore[arg-type]


@pytest.mark.parametrize("waiting", [{}, "m-1-1", {"id": "m", "previous": ""}])
def test_an_entry_in_the_status_that_is_none_is_a_fault(
    world: World, waiting: Any
) -> None:
    assert world.status
    status = replace(world.status, pending=(waiting,))
    found = chain.check(objects(world), status)
    assert found.fault.startswith("an entry in the status is changed")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"intent": 1, "order": 2}'])
def test_a_status_that_no_controller_has_written_is_named(text: str) -> None:
    class Api:
        def get(self, _: str) -> dict[str, Any]:
            return {"metadata": {"resourceVersion": "1"}, "data": {"status.json": text}}

    live = Live(Api(), Names("models", "m"))  # type: ignore[arg-type]
    with pytest.raises(KubeApiError, match="not what the controller writes"):
        live.status()
    with pytest.raises(KubeApiError, match="rollout-m-status"):
        live.run(give(OrderKind.PAUSE, who="ann", why="lunch"))


def test_the_newest_decision_is_the_last_one_linked_and_no_clocks() -> None:
    """A rollout that is resumed has the time in the ids of its decisions."""
    found = World(counts=lambda: {"errors": GOOD}, now=9000)
    found.run(tick())
    found.now = 100
    for kind in (OrderKind.RESUME, OrderKind.PAUSE):
        found.run(give(kind, who="ann", why="lunch"))
        found.run(tick())
    entries = Live(Api(found, 0), Names("models", "m")).entries()  # type: ignore[arg-type]
    assert [it["id"] for it in entries] == [*found.ledger]
    assert found.status
    assert record.digest(entries[-1]) == found.status.head
