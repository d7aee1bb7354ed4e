"""What the controller does next, by what it sees."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rollout import record
from rollout.counts import Series
from rollout.facts import Facts, Ready
from rollout.protocol import give, tick
from rollout.settings import Gate, Settings, SettingsError, Step, read
from rollout.status import OrderKind, Phase, Status
from rollout.verdict import Verdict, weigh

from slipway.ledger.canonical import digest as ledger_digest
from tests.support.rollouts import BAD, GOOD, LITTLE, SETTINGS, World

FACTS = Facts(
    now=100,
    begun=0,
    started=0,
    step=0,
    weight=5,
    ready=Ready(2, 9),
    counts={"errors": GOOD},
)


def at_five() -> World:
    """A rollout whose canary has 5 %, and whose gate knows little."""
    world = World()
    wait = world.run(tick())
    assert wait.outcome.reason == "errors: 1 intervals of 2"
    assert world.route.weights == {"a": 95, "b": 5}
    return world


def order(world: World, kind: OrderKind, weight: int = 100) -> str:
    """What the controller waits for after a person's order."""
    world.run(give(kind, who="ann", why="because", weight=weight))
    reason: str = world.run(tick()).outcome.reason
    return reason


@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        ({}, Verdict.HOLD, "25 % needs 3 ready replicas of the canary, it has 2"),
        ({"ready": Ready(3, 9)}, Verdict.PROMOTE, "errors: worse by at most"),
        ({"ready": Ready(0, 9)}, Verdict.ROLLBACK, "the canary has no ready replica"),
        ({"ready": Ready(0, 0)}, Verdict.HOLD, "stable has no ready replica"),
        ({"ready": None}, Verdict.HOLD, "it is not known how many replicas"),
        ({"counts": None}, Verdict.HOLD, "the counts could not be read"),
        ({"counts": {}}, Verdict.HOLD, "errors: there are no counts"),
        ({"counts": {"errors": BAD}}, Verdict.ROLLBACK, "the canary makes the bad"),
        (
            {"ready": None, "counts": {"errors": BAD}},
            Verdict.ROLLBACK,
            "the canary makes the bad",
        ),
        ({"ready": None, "step": -1}, Verdict.HOLD, "it is not known how many"),
        ({"now": 1000}, Verdict.HOLD, "errors: the newest intervals are missing"),
        ({"now": 1000, "counts": {"errors": BAD}}, Verdict.ROLLBACK, "errors: the can"),
        ({"now": 72 * 3600}, Verdict.EXPIRED, "not decided in 72 hours"),
        ({"now": 72 * 3600, "ready": Ready(3, 0)}, Verdict.HOLD, "stable has no"),
    ],
)
def test_what_the_facts_say(change: dict, verdict: Verdict, reason: str) -> None:
    outcome = weigh(SETTINGS, replace(FACTS, **change))
    assert outcome.verdict is verdict
    assert reason in outcome.reason


def test_a_gap_holds_until_it_is_a_small_part() -> None:
    ready = replace(FACTS, ready=Ready(9, 9))

    def verdict(rows: int, lost: int) -> str:
        whole = tuple(replace(GOOD.intervals[0], start=30 * n) for n in range(rows))
        counts = {"errors": Series(whole[:3] + whole[3 + lost :])}
        outcome = weigh(SETTINGS, replace(ready, now=30 * rows + 60, counts=counts))
        return f"{outcome.verdict} {outcome.reason}"

    assert verdict(20, 5) == "hold errors: 5 of 20 intervals are missing"
    assert verdict(50, 5).startswith("promote")


def test_a_wrong_sample_ratio_holds() -> None:
    """The canary of these counts has 10 % of the requests."""
    exact = replace(SETTINGS, sample_ratio=True)
    outcome = weigh(exact, replace(FACTS, ready=Ready(9, 9)))
    assert outcome.reason == "errors: the canary got 10.0%, not 5%"
    assert outcome.verdict is Verdict.HOLD


def test_a_step_that_needs_approval_waits_for_a_person() -> None:
    careful = replace(SETTINGS, steps=(Step(5), Step(25, approval=True)))
    world = World(settings=careful, counts=lambda: {"errors": GOOD})
    text = "25 % needs a person's approval: `slipway rollout approve`"
    assert world.run(tick()).outcome.reason == text
    assert order(world, OrderKind.PROMOTE, 25).startswith("promote by ann")
    order(world, OrderKind.RESUME)
    assert world.route.weights == {"a": 0, "b": 100}


def test_a_dead_canary_has_no_weight_after_one_tick() -> None:
    world = at_five()
    world.ready = Ready(0, 9)
    world.counts = lambda: None
    world.run(tick())
    assert world.route.weights == {"a": 100, "b": 0}
    assert world.status.phase is Phase.BACK


def test_a_paused_rollout_stays_even_with_harm_and_is_reported() -> None:
    world = at_five()
    world.counts = lambda: {"errors": BAD}
    assert order(world, OrderKind.PAUSE) == "pause by ann: because"
    assert world.route.weights["b"] == 5
    assert [it["verdict"] for it in world.ledger.values()] == ["promote", "order"]
    order(world, OrderKind.RESUME)
    assert world.route.weights["b"] == 0
    assert world.status.phase is Phase.BACK


def test_what_a_person_promoted_is_not_taken_back() -> None:
    world = at_five()
    world.counts = lambda: {"errors": BAD}
    assert order(world, OrderKind.PROMOTE) == "promote by ann: because"
    assert world.run(tick()).outcome.verdict is Verdict.HOLD
    assert world.route.weights["b"] == 100


def test_a_resumed_step_counts_from_then_on() -> None:
    """A pause may last for weeks, and Prometheus gives 11,000 points at most."""
    world = at_five()
    order(world, OrderKind.PAUSE)
    world.now = 90 * 24 * 3600
    order(world, OrderKind.RESUME)
    assert world.status.started == world.status.begun >= 90 * 24 * 3600


def test_after_a_rollback_a_person_may_begin_again() -> None:
    world = at_five()
    order(world, OrderKind.BACK)
    assert (world.route.weights["b"], world.status.phase) == (0, Phase.BACK)
    order(world, OrderKind.RESUME)
    assert (world.route.weights["b"], world.status.step) == (5, 0)


def test_changed_settings_stop_until_a_person_takes_them() -> None:
    world = at_five()
    world.settings = replace(SETTINGS, deadline_hours=24.0)
    found = world.run(tick()).outcome
    assert (found.verdict, world.route.weights["b"]) == (Verdict.STOP, 5)
    assert "slipway rollout resume" in found.reason
    assert order(world, OrderKind.RESUME) == "errors: 1 intervals of 2"


def test_an_ended_rollout_makes_room_for_the_next() -> None:
    world = at_five()
    order(world, OrderKind.BACK)
    entries = len(world.ledger)
    world.settings = replace(SETTINGS, canary="c")
    world.route = replace(world.route, weights={"a": 100})
    assert world.run(tick()).outcome.reason == "errors: 1 intervals of 2"
    assert world.status.generation == world.settings.generation
    assert [it["verdict"] for it in world.ledger.values()][entries:] == ["promote"]
    assert world.route.weights == {"a": 95, "c": 5}


def test_the_same_pair_begins_again_by_a_person_alone() -> None:
    world = at_five()
    world.counts = lambda: {"errors": BAD}
    world.run(tick())
    assert world.status.phase is Phase.BACK
    world.settings = replace(SETTINGS, deadline_hours=24.0)
    found = world.run(tick()).outcome
    assert (found.verdict, world.route.weights["b"]) == (Verdict.STOP, 0)
    assert "`slipway rollout resume` takes them" in found.reason
    world.counts = lambda: {"errors": LITTLE}
    assert order(world, OrderKind.RESUME) == "errors: 1 intervals of 2"


def test_a_pause_holds_the_next_pair_too_and_says_so() -> None:
    world = at_five()
    order(world, OrderKind.BACK)
    order(world, OrderKind.PAUSE)
    world.settings = replace(SETTINGS, canary="c")
    world.route = replace(world.route, weights={"a": 100})
    text = "pause by ann: because; `slipway rollout resume` begins a -> c"
    for _ in range(2):
        assert world.run(tick()).outcome.reason == text
    order(world, OrderKind.RESUME)
    assert world.route.weights == {"a": 95, "c": 5}


def test_an_order_that_the_next_pair_finds_is_about_that_pair() -> None:
    world = at_five()
    order(world, OrderKind.BACK)
    world.settings = replace(SETTINGS, canary="c")
    world.route = replace(world.route, weights={"a": 100})
    assert order(world, OrderKind.BACK) == "back by ann: because"
    assert world.run(tick()).outcome.verdict is Verdict.HOLD
    assert world.route.weights["a"] == 100


def test_counts_are_read_while_a_decision_may_follow() -> None:
    """The time since a step began has no bound, and nor has a query over it."""
    reads = 0

    def counts() -> dict[str, Series]:
        nonlocal reads
        reads += 1
        return {"errors": LITTLE}

    def reads_of_a_tick() -> int:
        before = reads
        world.run(tick())
        return reads - before

    world = World(counts=counts)
    assert reads_of_a_tick()
    assert reads_of_a_tick() == 1
    world.run(give(OrderKind.PAUSE, who="ann", why="because"))
    assert reads_of_a_tick() == 1  # for the order's record
    assert [*world.ledger.values()][-1]["facts"]["counts"] is not None
    assert reads_of_a_tick() == 0
    order(world, OrderKind.RESUME)
    assert reads_of_a_tick() == 1
    order(world, OrderKind.PROMOTE)
    order(world, OrderKind.RESUME)
    assert (world.status.phase, reads_of_a_tick()) == (Phase.PROMOTED, 0)


def test_an_expired_rollout_makes_room_without_a_person() -> None:
    world = at_five()
    world.now = 72 * 3600
    world.run(tick())
    assert (world.route.weights["b"], world.status.phase) == (0, Phase.BACK)
    world.settings = replace(SETTINGS, canary="c")
    world.route = replace(world.route, weights={"a": 100})
    assert "intervals" in world.run(tick()).outcome.reason
    assert world.route.weights == {"a": 95, "c": 5}


def test_weights_that_others_changed_stop_it() -> None:
    world = at_five()
    world.route = replace(world.route, weights={"a": 60, "b": 40})
    found = world.run(tick()).outcome
    assert found.verdict is Verdict.STOP
    assert found.reason == "the canary's weight was 5 and is 40"
    world.route = replace(world.route, weights={"a": 60, "x": 40})
    reason = world.run(tick()).outcome.reason
    assert "does not divide 100 %" in reason
    assert "`slipway rollout promote` or `back`" in reason


@pytest.mark.parametrize("calls", range(1, 30))
def test_a_controller_killed_after_any_call_is_followed_by_another(calls: int) -> None:
    whole, broken = World(), World()
    whole.run(tick())
    actor, answer = tick(), None
    for _ in range(calls):
        try:
            answer = broken.answer(actor.send(answer))
        except StopIteration:
            break
    broken.run(tick())
    assert broken.route.weights == whole.route.weights
    assert [*broken.ledger] == [f"m-{broken.status.begun}-1"]
    assert [(a, b) for a, b, _ in broken.moves] == [(0, 5)]


def test_an_entry_is_enough_to_compute_its_verdict_again() -> None:
    world = at_five()
    world.counts = lambda: {"errors": BAD}
    world.run(tick())
    for entry in world.ledger.values():
        read_back = json.loads(json.dumps(entry))
        outcome, differences = record.recompute(read_back)
        assert (outcome.verdict.value, differences) == (entry["verdict"], [])
    bad = entry["facts"]["counts"]["errors"]["intervals"][0]
    bad[2] = 0
    _, differences = record.recompute(entry)
    assert any(it.startswith("judgements") for it in differences)
    entry["verdict"] = "promote"
    assert record.recompute(entry)[1][0].startswith("verdict: the entry says promote")
    with pytest.raises(ValueError, match="format 2"):
        record.recompute(entry | {"format": 2})


def test_entries_have_the_digest_of_the_ledger() -> None:
    (entry,) = at_five().ledger.values()
    assert record.digest(entry) == ledger_digest(entry)


def test_status_and_settings_are_read_as_they_were_written() -> None:
    world = at_five()
    order(world, OrderKind.PAUSE)
    plain = json.loads(json.dumps(world.status.plain()))
    assert Status.of(plain) == world.status
    assert read(json.loads(json.dumps(SETTINGS.plain()))) == SETTINGS


def test_all_that_is_wrong_in_settings_is_reported_together() -> None:
    wrong = Settings(
        server="m",
        stable="a",
        canary="a",
        steps=(Step(50), Step(5)),
        gates=(Gate("errors", 0.0), Gate("errors", 0.1)),
        interval_seconds=5,
    )
    with pytest.raises(SettingsError) as caught:
        read(wrong.plain())
    assert str(caught.value).splitlines() == [
        "steps: [50, 5]: do not rise between 0 and 100; give such weights",
        "canary: a: is the stable revision; name another one",
        (
            "interval_seconds: 5: 51840 intervals until the deadline, 10000 can be "
            "read and recorded; give longer ones"
        ),
        "gates: there are none, or two of a name; give each gate a name",
        "gates.errors: 0.0: give a share between 0 and 1",
    ]
    with pytest.raises(SettingsError, match="apply the stack again"):
        read({})


@pytest.mark.parametrize("hours", ["inf", "nan", "0.0", "1e+308"])
def test_a_deadline_is_a_time(hours: str) -> None:
    with pytest.raises(SettingsError, match=r"deadline_hours: .*: no such time"):
        read(SETTINGS.plain() | {"deadline_hours": hours})


def test_a_step_has_no_more_intervals_than_prometheus_gives() -> None:
    most = SETTINGS.plain() | {"interval_seconds": 10, "deadline_hours": "30.25"}
    assert read(most).deadline_hours == 30.25
    with pytest.raises(SettingsError, match="10980 intervals until the deadline"):
        read(most | {"deadline_hours": "30.5"})
    with pytest.raises(SettingsError, match="apply the stack again"):
        read(most | {"interval_seconds": float("inf")})


def test_little_is_not_enough() -> None:
    assert weigh(SETTINGS, replace(FACTS, counts={"errors": LITTLE})).verdict is (
        Verdict.HOLD
    )


def intended() -> World:
    """A controller has died between the intent to go to 5 % and the route."""
    world = World()
    actor, answer = tick(), None
    while not (world.status and world.status.intent):
        answer = world.answer(actor.send(answer))
    return world


def test_what_was_intended_by_other_settings_is_called_off() -> None:
    world = intended()
    world.settings = replace(SETTINGS, deadline_hours=24.0)
    assert world.run(tick()).outcome.verdict is Verdict.STOP
    assert world.status.intent is None
    assert (world.route.weights["b"], world.ledger) == (0, {})


def test_what_was_intended_from_other_weights_is_called_off() -> None:
    world = intended()
    world.route = replace(world.route, weights={"a": 60, "b": 40})
    assert world.run(tick()).outcome.verdict is Verdict.STOP
    assert world.status.intent is None
    assert (world.route.weights["b"], world.ledger) == (40, {})


def test_a_pause_decides_nothing_else() -> None:
    """Neither that a rollout without weight is over, nor that others' weights count."""
    world = World(ready=Ready(0, 9))
    world.run(tick())
    order(world, OrderKind.PAUSE)
    assert (world.status.weight, world.status.phase) == (0, Phase.RUNNING)
    world = at_five()
    world.route = replace(world.route, weights={"a": 60, "b": 40})
    order(world, OrderKind.PAUSE)
    assert world.status.weight == 5
    order(world, OrderKind.RESUME)
    assert (world.status.weight, world.route.weights["b"]) == (40, 40)
