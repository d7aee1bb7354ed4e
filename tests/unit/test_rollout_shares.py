"""Since when an experiment's shares stand, and which decisions the status keeps."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rollout import decided
from rollout.decided import MOST, Decided
from rollout.protocol import give, tick
from rollout.shares import Window, window
from rollout.status import OrderKind, Status

from tests.support.rollouts import World


def entry(before: int, after: int, now: int, **changes: Any) -> dict[str, Any]:
    settings = {"stable": "a", "canary": "b"} | changes
    return {
        "id": "m-1-1",
        "verdict": "order",
        "reason": "",
        "settings": settings,
        "weights": {"before": before, "after": after},
        "facts": {"now": now, "started": now - 7},
    }


@pytest.mark.parametrize(
    ("entries", "wanted"),
    [
        ([], None),
        ([entry(0, 50, 10)], Window(70)),
        ([entry(0, 50, 10), entry(50, 50, 200)], Window(70)),
        ([entry(0, 50, 10), entry(50, 0, 200)], Window(70, 200)),
        # Another share moves callers: what was before does not count.
        ([entry(0, 50, 10), entry(50, 70, 200), entry(70, 50, 300)], Window(360)),
        ([entry(0, 50, 10), entry(50, 0, 200), entry(0, 100, 300)], Window(70, 200)),
        # It ended before every proxy had the shares.
        ([entry(0, 50, 10), entry(50, 0, 20)], Window(70, 70)),
        # The record of the beginning is gone.
        ([entry(50, 50, 20)], Window(73)),
        ([entry(0, 50, 5, canary="c")], None),
    ],
)
def test_the_time_is_that_in_which_the_shares_stood(
    entries: list[dict[str, Any]], wanted: Window | None
) -> None:
    decisions = [decided.of(it) for it in entries]
    assert window(decisions, "a", "b", 50) == wanted


def kept(*moves: int) -> list[int]:
    """Numbers of those that are kept; of each is given whether it moved weights."""
    found: tuple[Decided, ...] = ()
    for number, moved in enumerate(moves):
        made = entry(0, 50 * moved, number)
        found = decided.with_newest(found, made)
    return [it.time for it in found]


def test_the_oldest_decision_goes_that_moved_nothing() -> None:
    assert kept(*[0] * (MOST + 2)) == [*range(MOST + 1, 1, -1)]
    assert kept(1, *[0] * MOST) == [*range(MOST, 1, -1), 0]
    assert kept(1, 1, *[0] * 30) == [*range(31, 31 - MOST + 2, -1), 1, 0]
    # The newest is shown even if all others moved.
    assert kept(*[1] * MOST, 0) == [*range(MOST, 0, -1)]
    assert kept(*[1] * (MOST + 1)) == [*range(MOST, 0, -1)]


def test_the_status_keeps_the_newest_decisions_and_no_more() -> None:
    world = World()
    for number in range(decided.MOST + 3):
        world.run(tick())
        why = f"{number} {'x' * 1000}"
        world.run(give(OrderKind.PROMOTE, who="p", why=why, weight=7 + number))
    world.run(tick())
    assert world.status
    found = world.status.recent
    ids = [it.id for it in found]
    newest = sorted(world.ledger, key=lambda it: int(it.rpartition("-")[2]))[::-1]
    assert ids == newest[: decided.MOST]
    entry = world.ledger[ids[0]]
    assert found[0].reason == entry["reason"][: decided.REASON_LETTERS - 1] + "…"
    assert (found[0].start, found[0].goal) == (18, 19)
    assert Status.of(json.loads(json.dumps(world.status.plain()))) == world.status


def test_a_status_of_before_there_were_decisions_in_it_is_read() -> None:
    old = Status("g", 3, 7).plain()
    del old["recent"]
    assert Status.of(old) == Status("g", 3, 7)
