"""The waker's decisions: when a model sleeps and wakes, and what is held meanwhile."""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections import Counter

import pytest

from toolchain import paths

sys.path.insert(0, str(paths.ROOT / "images" / "waker"))

from waker.buffer import Buffer, Held, Refusal
from waker.decision import Seen, Step, decide
from waker.idleness import Idleness, Reading

SETTLE = 5.0
CALM = {"a": Reading(7, 0), "b": Reading(9, 0)}


def watched(*rounds: dict[str, Reading | None]) -> bool:
    """Whether 20 s of calm are seen, with a round of readings each 10 s."""
    idleness = Idleness(20, fresh_seconds=10)
    for number, pods in enumerate(rounds):
        idleness.observe(number * 10, pods)
    return idleness.idle((len(rounds) - 1) * 10)


def test_unbroken_calm_is_idle_and_not_earlier() -> None:
    assert watched(CALM, CALM, CALM)
    assert not watched(CALM, CALM)


@pytest.mark.parametrize(
    "spoilt",
    [
        {},
        {"a": Reading(7, 0), "b": None},
        {"a": Reading(7, 0), "b": Reading(9, 1)},
        {"a": Reading(7, 0), "b": Reading(9, math.nan)},
        {"a": Reading(7, 0), "b": Reading(math.nan, 0)},
        {"a": Reading(7, 0), "b": Reading(10, 0)},
        {"a": Reading(7, 0), "b": Reading(0, 0)},
        {"a": Reading(7, 0)},
    ],
    ids=["none", "failed", "busy", "nan", "nan-count", "called", "restarted", "gone"],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_no_round_but_a_calm_one_counts(
    spoilt: dict[str, Reading | None], place: int
) -> None:
    rounds: list[dict[str, Reading | None]] = [CALM, CALM, CALM]
    rounds[place] = spoilt
    assert not watched(*rounds)


def test_no_pods_are_never_idle() -> None:
    assert not watched({}, {}, {})


def test_what_was_not_looked_at_is_not_calm() -> None:
    idleness = Idleness(20, fresh_seconds=10)
    idleness.observe(0, CALM)
    idleness.observe(15, CALM)
    assert not idleness.idle(22), "calm is known of 15 s only"
    idleness.observe(25, CALM)
    assert idleness.idle(35)
    assert not idleness.idle(36), "the last round is too old"


def seen(
    replicas: int = 2,
    ready: int = 2,
    covered_since: float | None = None,
    waiting: int = 0,
    idle: bool = False,
) -> Seen:
    return Seen(replicas, ready, covered_since, waiting, idle)


@pytest.mark.parametrize(
    ("model", "step"),
    [
        (seen(), Step.NOTHING),
        (seen(idle=True), Step.COVER),
        (seen(idle=True, waiting=1), Step.NOTHING),
        (seen(idle=True, covered_since=96), Step.NOTHING),
        (seen(idle=True, covered_since=95), Step.SLEEP),
        (seen(idle=True, covered_since=95, waiting=1), Step.UNCOVER),
        (seen(covered_since=95), Step.UNCOVER),
        (seen(0, 2, covered_since=90), Step.NOTHING),
        (seen(0, 0, covered_since=90), Step.NOTHING),
        (seen(0, 0, covered_since=90, waiting=1), Step.WAKE),
        (seen(0, 1, covered_since=90, waiting=1), Step.WAKE),
        (seen(0, 0), Step.COVER),
        (seen(2, 0, covered_since=90, waiting=1), Step.NOTHING),
        (seen(2, 0, idle=True), Step.NOTHING),
        (seen(2, 1, covered_since=90, waiting=1), Step.UNCOVER),
    ],
)
def test_each_state_has_its_step(model: Seen, step: Step) -> None:
    assert decide(model, 100, SETTLE) is step


def test_callers_always_have_an_endpoint_and_every_call_ends_awake() -> None:
    """Over all small states: no step takes the last endpoint from callers."""
    for replicas, ready, covered, waiting, idle in itertools.product(
        (0, 1, 3), (0, 1, 3), (None, 0.0, 99.0), (0, 1), (False, True)
    ):
        model = Seen(replicas, ready, covered, waiting, idle)
        step = decide(model, 100, SETTLE)
        if step is Step.SLEEP:
            assert covered is not None
            assert 100 - covered >= SETTLE
            assert idle
            assert not waiting
        if step is Step.UNCOVER:
            assert replicas
            assert ready
        if step is Step.NOTHING and replicas == 0:
            assert covered is not None
            assert not waiting


class FakeCluster:
    """One model whose pods take 30 s to be ready, and its waker, second by second."""

    def __init__(self) -> None:
        self.replicas, self.ready, self.ready_at = 2, 2, 0
        self.covered: float | None = None
        self.taken, self.answered, self.waiting = 0, 0, 0
        self.steps: Counter[Step] = Counter()
        self.restart_waker(0)

    def restart_waker(self, now: int) -> None:
        """What the waker held is finished before; what it had seen is forgotten."""
        self.idleness = Idleness(60, fresh_seconds=1)
        if self.covered is not None:
            self.covered = float(now)

    def call(self, at_waker: bool) -> None:
        assert self.ready or self.covered is not None, "a caller met no endpoint"
        self.taken += 1
        if self.ready and not (at_waker and self.covered is not None):
            self.answered += 1
        else:
            self.waiting += 1

    def second(self, now: int) -> None:
        if self.replicas and now >= self.ready_at:
            self.ready = self.replicas
        if self.ready:
            self.answered, self.waiting = self.answered + self.waiting, 0
        reading = Reading(self.answered, 0)
        self.idleness.observe(now, {f"p{n}": reading for n in range(self.ready)})
        idle = self.idleness.idle(now)
        model = Seen(self.replicas, self.ready, self.covered, self.waiting, idle)
        self.obey(decide(model, now, SETTLE), now)

    def obey(self, step: Step, now: int) -> None:
        self.steps[step] += 1
        match step:
            case Step.COVER:
                self.covered = float(now)
            case Step.UNCOVER:
                self.covered = None
            case Step.SLEEP:
                self.replicas = self.ready = 0
            case Step.WAKE:
                self.replicas, self.ready_at = 2, now + 30


@pytest.mark.parametrize("chance", range(20))
def test_a_model_called_at_random_sleeps_wakes_and_loses_nobody(chance: int) -> None:
    draw = random.Random(chance)
    cluster = FakeCluster()
    for now in range(4000):
        if now < 3000 and draw.random() < 0.01:
            cluster.call(at_waker=draw.random() < 0.5)
        if not cluster.waiting and draw.random() < 0.002:
            cluster.restart_waker(now)
        cluster.second(now)
    assert cluster.taken
    assert (cluster.waiting, cluster.answered) == (0, cluster.taken)
    assert cluster.replicas == 0
    assert cluster.steps[Step.SLEEP] == cluster.steps[Step.WAKE] + 1


def test_the_buffer_keeps_its_bounds_and_gives_places_back() -> None:
    buffer = Buffer(requests=2, most_bytes=100, wake_seconds=60)
    first = buffer.hold(0, 60)
    assert isinstance(first, Held)
    assert buffer.hold(0, 41) is Refusal.BYTES
    assert isinstance(buffer.hold(0, 40), Held)
    assert buffer.hold(0, 0) is Refusal.REQUESTS
    assert (len(buffer), buffer.held_bytes) == (2, 100)
    buffer.release(first)
    buffer.release(first)
    assert (len(buffer), buffer.held_bytes) == (1, 40)
    assert isinstance(buffer.hold(0, 60), Held)


def test_nobody_waits_longer_than_the_budget_or_the_callers_deadline() -> None:
    buffer = Buffer(requests=9, most_bytes=100, wake_seconds=60)
    patient, hasty = buffer.hold(10, 1), buffer.hold(10, 1, deadline=15)
    assert buffer.overdue(14.9) == []
    assert buffer.overdue(15) == [hasty]
    assert set(buffer.overdue(70)) == {patient, hasty}
    assert buffer.hold(20, 1, deadline=20) is Refusal.TIME
