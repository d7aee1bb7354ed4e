"""Entries that the ledger does not take: harm and orders are decided all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from rollout import __main__ as program
from rollout import words
from rollout.cluster import Cluster
from rollout.protocol import give, tick
from rollout.record import digest
from rollout.status import OrderKind, Phase, Status
from rollout.verdict import Verdict
from rollout.watched import Watched

from pod_parts.api_client import Api
from tests.support.rollout_api import NAMES, Served, objects, serve
from tests.support.rollouts import BAD, GOOD, LITTLE, SETTINGS, World

QUOTA = "entries that wait for the ledger: 1 (403 exceeded quota)"


def full() -> World:
    """A canary that got 5 % while the ledger took no entry."""
    world = World(refuses=lambda: True)
    wait = world.run(tick())
    assert wait.outcome.reason == f"errors: 1 intervals of 2; {QUOTA}"
    assert wait.outcome.verdict is Verdict.STOP
    assert (world.route.weights["b"], world.ledger) == (5, {})
    return world


def ids(world: World) -> list[str]:
    assert world.status
    return [it["id"] for it in world.status.pending]


def test_harm_is_taken_back_without_a_ledger() -> None:
    world = full()
    world.counts = lambda: {"errors": BAD}
    assert "wait for the ledger: 2" in world.run(tick()).outcome.reason
    assert world.route.weights["b"] == 0
    assert world.status
    assert world.status.phase is Phase.BACK
    assert Status.of(json.loads(json.dumps(world.status.plain()))) == world.status


def test_an_order_is_carried_out_without_a_ledger() -> None:
    world = full()
    world.run(give(OrderKind.BACK, who="ann", why="because"))
    reason = world.run(tick()).outcome.reason
    assert reason.startswith(
        "back by ann: because; entries that wait for the ledger: 2"
    )
    assert world.route.weights["b"] == 0


def test_the_next_step_waits_for_the_ledger() -> None:
    world = full()
    world.counts = lambda: {"errors": GOOD}
    outcome = world.run(tick()).outcome
    assert outcome.verdict is Verdict.STOP
    assert outcome.reason.endswith(QUOTA)
    assert outcome.judgements
    assert world.route.weights["b"] == 5
    world.refuses = lambda: False
    world.run(tick())
    assert world.route.weights["b"] == 100
    assert [it["weights"]["after"] for it in world.ledger.values()] == [5, 25, 100]


def test_entries_come_later_in_the_order_of_the_decisions() -> None:
    world = full()
    world.counts = lambda: {"errors": BAD}
    world.run(tick())
    pending = ids(world)
    assert [*words.notes(SETTINGS, world.status)] == [
        f"not in the ledger yet: {', '.join(pending)}"
    ]
    world.refuses = lambda: False
    assert world.run(tick()).outcome.reason == "it has ended: back"
    assert ([*world.ledger], ids(world)) == (pending, [])
    first, second = world.ledger.values()
    assert second["previous"] == digest(first)


def test_each_tick_tries_once() -> None:
    tries = 0

    def refuses() -> bool:
        nonlocal tries
        tries += 1
        return True

    world = full()
    world.refuses = refuses
    world.counts = lambda: {"errors": BAD}
    world.run(tick())
    assert (tries, len(ids(world))) == (1, 2)


def test_the_next_pair_keeps_what_the_ledger_lacks() -> None:
    world = full()
    world.counts = lambda: {"errors": BAD}
    world.run(tick())
    world.settings = replace(SETTINGS, canary="c")
    world.route = replace(world.route, weights={"a": 100})
    world.counts = lambda: {"errors": LITTLE}
    world.run(tick())
    assert len(ids(world)) == 2
    assert world.status
    assert world.status.canary == "c"


@pytest.fixture
def served() -> Served:
    return Served(objects(SETTINGS), {"": []})


@pytest.fixture
def api(served: Served) -> Iterator[Api]:
    with serve(served) as found:
        yield found


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (403, "exceeded quota"),
        (413, "too large"),
        (422, "Invalid"),
        (500, "failed calling webhook"),
        # Of a quota that others change at the same time: the entry is not there.
        (409, "Conflict"),
    ],
)
def test_an_entry_that_the_api_server_refuses_is_no_end_of_the_tick(
    served: Served, api: Api, monkeypatch: pytest.MonkeyPatch, status: int, reason: str
) -> None:
    post = served.post

    def refuse(_: str, __: Any) -> tuple[int, Any]:
        return status, {"reason": reason}

    monkeypatch.setattr(served, "post", refuse)
    watched = Watched()
    cluster = Cluster(api, api, NAMES, clock=lambda: 0)
    program.step(cluster, watched)
    assert (watched.errors, watched.is_failing) == (0, False)
    assert watched.outcome
    assert watched.outcome.verdict is Verdict.STOP
    assert f'{status} {{"reason": "{reason}"}}' in watched.outcome.reason
    cluster.run(give(OrderKind.BACK, who="ann", why="because"))
    program.step(cluster, watched)
    assert served.weights() == [100, 0]
    monkeypatch.setattr(served, "post", post)
    program.step(cluster, watched)
    assert watched.outcome.reason == "back by ann: because"
    assert [it["verdict"] for it in served.entries()] == ["promote", "order"]
