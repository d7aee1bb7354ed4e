"""Any order of calls of two controllers, deaths after any of them, and people's orders.

What must hold: a decision is in the ledger once, each change of the weights is a
decision that was written down before, and after an order has returned nothing decided
earlier moves them. Each rule of the protocol is left out once: the check finds that.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollout import protocol
from rollout.protocol import give, look, tick
from rollout.record import digest, recompute
from rollout.settings import Step
from rollout.status import OrderKind, Status
from rollout.verdict import Verdict

from tests.support.rollouts import BAD, GOOD, LITTLE, SETTINGS, Actor, World, place

RUNS = 400
SELDOM = 3800
"""The fault that is found in 8 of 20,000 schedules: those before this show it not."""
CONTROLLERS = 2
KINDS = (OrderKind.PAUSE, OrderKind.PAUSE, OrderKind.PROMOTE, OrderKind.BACK)
APPROVING = (OrderKind.PAUSE, OrderKind.BACK, OrderKind.APPROVE, OrderKind.APPROVE)
APPROVED = 25
CAREFUL = replace(SETTINGS, steps=(Step(5), Step(APPROVED, approval=True)))
Choose = Callable[[int], int]
"""A number below the given one."""


@dataclass
class Run:
    """One schedule: somebody's next call, or somebody's death, until all is used up."""

    choose: Choose
    order: Callable[[OrderKind], Actor] = lambda kind: give(kind, who="ann", why="x")
    appends: bool = False
    other_rules: bool = False
    """Whether the stack wants other rules now and then, such as other time limits."""
    refuses: bool = False
    """Whether the ledger does not take an entry now and then."""
    kinds: Sequence[OrderKind] = KINDS
    """Kinds of the orders where none stands."""
    world: World = field(default_factory=World)
    stopped: int | None = None
    """Changes of the weights when a pause had returned; None without one in force."""

    def __post_init__(self) -> None:
        self.world.appends = self.appends
        evidence = (GOOD, GOOD, GOOD, BAD, LITTLE, None)

        def counts() -> Any:
            found = evidence[self.choose(len(evidence))]
            return None if found is None else {"errors": found}

        self.world.counts = counts
        if self.refuses:
            self.world.refuses = lambda: self.choose(3) == 0

    def go(self, calls: int) -> None:
        """`calls` calls of anybody, then one controller alone until it waits."""
        self.world.run(tick_once(self.world))
        actors: list[Actor | None] = [None] * (CONTROLLERS + 1)
        answers: list[Any] = [None] * len(actors)
        kinds: list[OrderKind] = [OrderKind.PAUSE] * len(actors)
        for _ in range(calls):
            if self.other_rules and self.choose(8) == 0:
                self.world.route = replace(self.world.route, stale=True)
            place = self.choose(len(actors))
            if self.choose(12) == 0:
                actors[place] = answers[place] = None  # it is killed
                continue
            actor = actors[place]
            if actor is None:
                answers[place] = None
                if place < CONTROLLERS:
                    actor = actors[place] = tick()
                else:
                    kinds[place] = self._new_order()
                    actor = actors[place] = self.order(kinds[place])
            self._step(actors, answers, kinds, place, actor)
            assert self.stopped is None or len(self.world.moves) == self.stopped, (
                "the weights moved after a pause had returned"
            )
        self.world.refuses = lambda: False
        while self.world.run(tick()) is None:
            pass  # a decision after the other, as the evidence changes
        self._check()

    def _new_order(self) -> OrderKind:
        status = self.world.status
        stands = status and status.order and status.order.stands
        kind = OrderKind.RESUME if stands else self.kinds[self.choose(len(self.kinds))]
        if kind is not OrderKind.PAUSE:
            self.stopped = None
        return kind

    def _step(
        self,
        actors: list[Actor | None],
        answers: list[Any],
        kinds: list[OrderKind],
        place: int,
        actor: Actor,
    ) -> None:
        try:
            answers[place] = self.world.answer(actor.send(answers[place]))
        except StopIteration:
            actors[place] = None
            if place == CONTROLLERS and kinds[place] is OrderKind.PAUSE:
                self.stopped = len(self.world.moves)

    def _check(self) -> None:
        world = self.world
        status = world.status
        assert status
        assert status.intent is None, "nobody finished a decision"
        assert not status.pending, "an entry waits for the ledger"
        assert not world.route.stale, "the route has the rules of before"
        assert world.entries == len(world.ledger), "a decision was recorded twice"
        moved = {identity for *_, identity in world.moves}
        assert "" not in moved, "the weights moved without a decision"
        assert len(moved) == len(world.moves), "one decision moved the weights twice"
        kept = {identity: places(it) for identity, it in world.ledger.items()}
        told = [(one, *kept[one]) for one in kept if kept[one][0] != kept[one][1]]
        assert told == [(identity, a, b) for a, b, identity in world.moves]
        previous = ""
        for entry in world.ledger.values():
            assert entry["previous"] == previous, "the chain of entries is broken"
            previous = digest(entry)
        assert status.head == previous


def places(entry: Any) -> tuple[int, int]:
    """Where a decision found the canary, and where it put it."""
    weights, mirrors = entry["weights"], entry.get("mirrors", {})
    before, after = (
        place(weights[it], mirrors.get(it, 0)) for it in ("before", "after")
    )
    return before, after


def tick_once(world: World) -> Actor:
    """The rollout's beginning, so that orders have something to be given to."""
    seen = yield from look("")
    yield protocol.next_action(seen)


def check(runs: int, first: int = 0, **broken: Any) -> None:
    for seed in range(first, first + runs):
        chance = random.Random(seed)
        try:
            Run(chance.randrange, **broken).go(calls=160)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def test_schedules_by_chance() -> None:
    check(RUNS)


@settings(max_examples=50)
@given(st.data())
def test_any_schedule(data: st.DataObject) -> None:
    Run(lambda number: data.draw(st.integers(0, number - 1))).go(calls=60)


SHADOWED = replace(SETTINGS, shadow_percent=20)


def test_schedules_with_copies_before_the_first_step() -> None:
    verdicts: set[str] = set()
    for seed in range(RUNS):
        chance = random.Random(seed)
        world = World(settings=SHADOWED)
        Run(chance.randrange, other_rules=seed % 2 == 0, world=world).go(calls=160)
        verdicts |= {it["verdict"] for it in world.ledger.values()}
    assert verdicts >= {Verdict.SHADOW, Verdict.PROMOTE, Verdict.ROLLBACK}


def test_schedules_in_which_the_ledger_refuses_entries() -> None:
    check(RUNS, refuses=True)
    check(RUNS // 4, refuses=True, other_rules=True)


def test_with_entries_out_of_their_order_the_check_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hasty(seen: Any) -> Any:
        status = seen.status
        if status and status.pending and status.intent and not seen.refused:
            found = next_action(replace(seen, status=replace(status, pending=())))
            if isinstance(found, protocol.WriteEntry) and not seen.recorded:
                return found
        return next_action(seen)

    next_action = protocol.next_action
    monkeypatch.setattr(protocol, "next_action", hasty)
    with pytest.raises(AssertionError):
        check(RUNS, refuses=True)


def test_with_a_refused_entry_that_is_dropped_the_check_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def careless(seen: Any) -> Any:
        found = next_action(seen)
        if isinstance(found, protocol.WriteStatus) and seen.refused:
            return replace(found, status=replace(found.status, pending=()))
        return found

    next_action = protocol.next_action
    monkeypatch.setattr(protocol, "next_action", careless)
    with pytest.raises(AssertionError):
        check(RUNS, refuses=True)


def approvals(runs: int) -> set[str]:
    """Verdicts of schedules in which a person approves of the second step."""
    verdicts: set[str] = set()
    for seed in range(runs):
        world = World(settings=CAREFUL)
        run = Run(
            random.Random(seed).randrange,
            order=lambda kind: give(kind, who="ann", why="x", weight=APPROVED),
            world=world,
            kinds=APPROVING,
        )
        run.go(calls=160)
        approved = 0
        for entry in world.ledger.values():
            if entry["verdict"] == Verdict.ORDER:
                is_approval = entry["order"]["kind"] == OrderKind.APPROVE
                approved = entry["order"]["weight"] if is_approval else 0
            before, after = places(entry)
            if entry["verdict"] == Verdict.PROMOTE and after == APPROVED:
                assert approved == APPROVED, f"seed {seed}: nobody has approved"
            if entry["verdict"] == Verdict.ROLLBACK and before == APPROVED:
                verdicts.add("taken back after an approval")
            if entry["verdict"] == Verdict.ORDER and approved:
                assert before == after, f"seed {seed}: an approval moved the weights"
            assert recompute(entry)[1] == [], f"seed {seed}: another verdict"
            verdicts.add(entry["verdict"])
    return verdicts


def test_schedules_with_a_step_that_a_person_approves() -> None:
    wanted = {Verdict.PROMOTE, Verdict.ROLLBACK, Verdict.ORDER}
    assert approvals(RUNS // 4) == wanted | {"taken back after an approval"}


def test_with_an_approval_that_others_inherit_the_check_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if it outlived the order that follows it."""

    def inherited(status: Status) -> int:
        return APPROVED if status.order_done else 0

    monkeypatch.setattr(Status, "approved", property(inherited))
    with pytest.raises(AssertionError, match="nobody has approved"):
        approvals(RUNS // 4)


def test_schedules_in_which_the_stack_changes_the_rules() -> None:
    check(RUNS, other_rules=True)


def test_with_rules_taken_at_other_weights_the_check_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reset(seen: Any) -> Any:
        found = next_action(seen)
        if isinstance(found, protocol.WriteRoute) and seen.route.stale:
            intent = seen.status and seen.status.intent
            if not intent and found.fence is None:
                return replace(found, weights={"a": 100, "b": 0})
        return found

    next_action = protocol.next_action
    monkeypatch.setattr(protocol, "next_action", reset)
    with pytest.raises(AssertionError):
        check(RUNS, other_rules=True)


def test_schedules_do_something() -> None:
    """Promotions, rollbacks, orders, and decisions that were called off."""
    verdicts: set[str] = set()
    off = 0
    for seed in range(200):
        run = Run(random.Random(seed).randrange)
        run.go(calls=160)
        verdicts |= {entry["verdict"] for entry in run.world.ledger.values()}
        assert run.world.status
        off += run.world.status.decisions - len(run.world.ledger)
    assert verdicts == {Verdict.PROMOTE, Verdict.ROLLBACK, Verdict.ORDER}
    assert off > 20


def test_without_the_orders_hand_on_the_route_the_check_fails() -> None:
    def order(kind: OrderKind) -> Generator[Any, Any, None]:
        while True:
            status, version = yield protocol.ReadStatus()
            new = protocol.Order(status.order_number + 1, kind, "ann", "x", 0)
            wanted = replace(status, order=new)
            if (yield protocol.WriteStatus(wanted, version, "")):
                return

    with pytest.raises(AssertionError, match="after a pause had returned"):
        check(RUNS, first=500, order=order)


def test_with_the_status_read_before_the_route_the_check_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(*known: str) -> Generator[Any, Any, Any]:
        before = yield protocol.ReadStatus()
        inner = look(*known)
        answer = None
        try:
            while True:
                call = inner.send(answer)
                is_status = isinstance(call, protocol.ReadStatus)
                answer = before if is_status else (yield call)
        except StopIteration as done:
            return done.value

    monkeypatch.setattr(protocol, "look", wrong)
    with pytest.raises(AssertionError, match="after a pause had returned"):
        check(RUNS * 10, first=SELDOM)


def test_with_a_ledger_that_appends_the_check_fails() -> None:
    with pytest.raises(AssertionError, match="recorded twice"):
        check(RUNS, appends=True)


def test_called_off_without_a_fence_the_check_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who is about to write the weights would do it for a decision that is gone."""

    def careless(seen: Any) -> Any:
        status = seen.status
        if status and status.intent:
            pretended = replace(seen.route, fence=status.intent.called_off)
            found = next_action(replace(seen, route=pretended))
            if isinstance(found, protocol.WriteStatus) and "called off" in found.why:
                is_off = status.order_number > status.intent.order
                return found if is_off else next_action(seen)
        return next_action(seen)

    next_action = protocol.next_action
    monkeypatch.setattr(protocol, "next_action", careless)
    with pytest.raises(AssertionError):
        check(RUNS * 4)


def test_one_controller_goes_through_all_steps() -> None:
    world = World(counts=lambda: {"errors": GOOD})
    assert world.run(tick()).outcome.reason == "it has ended: promoted"
    assert [(a, b) for a, b, _ in world.moves] == [(0, 5), (5, 25), (25, 100)]
    assert [entry["facts"]["step"] for entry in world.ledger.values()] == [-1, 0, 1]
