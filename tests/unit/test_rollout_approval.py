"""A person's approval of a step: the gates take it, and go on deciding."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from rollout import orders, record, words
from rollout.actions import WriteStatus
from rollout.facts import Ready
from rollout.protocol import give, tick
from rollout.settings import Step
from rollout.status import Order, OrderKind, Phase

from tests.support.rollouts import BAD, GOOD, LITTLE, SETTINGS, Actor, World

CAREFUL = replace(
    SETTINGS, steps=(Step(5), Step(25, approval=True), Step(50, approval=True))
)


def at_approval() -> World:
    """A canary with 5 %, whose gates wait for the approval of 25 %."""
    world = World(settings=CAREFUL, counts=lambda: {"errors": GOOD})
    world.run(tick())
    assert world.route.weights == {"a": 95, "b": 5}
    return world


def test_an_approval_lets_the_gates_take_one_step_and_take_it_back() -> None:
    world = at_approval()
    text = "50 % needs a person's approval: `slipway rollout approve`"
    assert order(world, OrderKind.APPROVE, 25) == text
    assert world.route.weights == {"a": 75, "b": 25}
    world.counts = lambda: {"errors": BAD}
    assert world.run(tick()).outcome.reason == "it has ended: back"
    assert world.route.weights == {"a": 100, "b": 0}
    verdicts = [it["verdict"] for it in world.ledger.values()]
    assert verdicts == ["promote", "order", "promote", "rollback"]
    for entry in world.ledger.values():
        assert record.recompute(json.loads(json.dumps(entry)))[1] == []


def test_an_approved_step_waits_for_evidence_and_replicas_as_any_other() -> None:
    world = at_approval()
    world.counts, world.ready = lambda: {"errors": LITTLE}, Ready(2, 9)
    assert order(world, OrderKind.APPROVE, 25) == "errors: 1 intervals of 2"
    world.counts = lambda: {"errors": GOOD}
    assert "25 % needs 3 ready replicas" in world.run(tick()).outcome.reason
    world.ready = Ready(3, 9)
    world.run(tick())
    assert world.route.weights["b"] == 25


def test_any_later_order_ends_an_approval() -> None:
    world = at_approval()
    world.counts = lambda: {"errors": LITTLE}
    order(world, OrderKind.APPROVE, 25)
    assert [*words.notes(CAREFUL, world.status)] == ["25 % is approved by ann"]
    order(world, OrderKind.RESUME)
    world.counts = lambda: {"errors": GOOD}
    assert "needs a person's approval" in world.run(tick()).outcome.reason
    assert world.route.weights["b"] == 5


def test_an_approval_is_of_one_pair_and_of_a_weight() -> None:
    world = at_approval()
    order(world, OrderKind.APPROVE, 60)  # of other settings
    assert world.route.weights["b"] == 5
    order(world, OrderKind.BACK)
    assert order(world, OrderKind.APPROVE, 5) == "it has ended: back"
    assert (world.route.weights["b"], world.status.phase) == (0, Phase.BACK)
    careful = (Step(5, approval=True), *CAREFUL.steps[1:])
    world.settings = replace(CAREFUL, canary="c", steps=careful)
    world.route = replace(world.route, weights={"a": 100})
    text = "5 % needs a person's approval"
    assert text in world.run(tick()).outcome.reason


def order(world: World, kind: OrderKind, weight: int = 100) -> str:
    """What the controller waits for after a person's order."""
    world.run(give(kind, who="ann", why="because", weight=weight))
    reason: str = world.run(tick()).outcome.reason
    return reason


def refused(world: World) -> str:
    """Why there is no step to approve; nothing is written then."""
    before = world.status
    weight = partial(orders.to_approve, world.settings)
    with pytest.raises(LookupError) as caught:
        world.run(give(OrderKind.APPROVE, who="ann", why="because", weight=weight))
    assert world.status == before
    return str(caught.value)


def test_what_is_no_step_to_approve_is_refused_with_its_reason() -> None:
    world = at_approval()
    world.settings = replace(CAREFUL, deadline_hours=24.0)
    assert "settings have changed" in refused(world)
    world.settings = replace(CAREFUL, canary="c")
    assert "a -> c has not begun; the rollout before is a -> b" in refused(world)
    world.settings = CAREFUL
    order(world, OrderKind.PAUSE)
    assert "pause by ann holds it" in refused(world)
    order(world, OrderKind.RESUME)
    order(world, OrderKind.APPROVE, 25)
    order(world, OrderKind.APPROVE, 50)
    assert (world.route.weights["b"], world.status.phase) == (100, Phase.PROMOTED)
    assert "it has ended: promoted" in refused(world)
    assert "the next step, 5 %, needs no approval" in refused(
        World(
            settings=CAREFUL, status=replace(world.status, phase=Phase.RUNNING, step=-1)
        )
    )


def test_the_weight_is_of_the_status_that_the_approval_replaces() -> None:
    """The rollout goes on between reading and writing: the write loses."""
    world = at_approval()
    weight = partial(orders.to_approve, CAREFUL)
    actor = give(OrderKind.APPROVE, who="ann", why="because", weight=weight)
    call = actor.send(None)
    while not isinstance(call, WriteStatus):
        call = actor.send(world.answer(call))
    order(world, OrderKind.APPROVE, 25)
    lost = world.answer(call)
    assert lost is False
    given = rest(world, actor, lost)
    assert given.weight == 50


def test_the_next_pair_needs_its_replicas_whatever_the_last_one_had() -> None:
    world = at_approval()
    order(world, OrderKind.PROMOTE)
    assert world.status
    few = Ready(canary=1, stable=9)
    assert orders.with_replicas(50, CAREFUL, world.status, few) == 50
    with pytest.raises(LookupError, match="it has 1, 4 too few"):
        orders.with_replicas(50, replace(CAREFUL, canary="c"), world.status, few)


def rest(world: World, actor: Actor, answer: Any) -> Order:
    """The remaining calls of an order."""
    while True:
        try:
            answer = world.answer(actor.send(answer))
        except StopIteration as done:
            given: Order = done.value
            return given
