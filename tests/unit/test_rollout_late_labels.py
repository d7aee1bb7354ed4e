"""A rollout with late labels, from copies to all requests, as the lab's test has it.

tests/cluster/test_rollout_by_labels.py has the same settings; here the program goes
through them second by second, with the counts of a gateway and a monitor.
"""

from __future__ import annotations

from typing import Any

import pytest
from rollout.cluster import Cluster
from rollout.protocol import tick
from rollout.record import recompute

from tests.support.late_labels import (
    PLACES,
    TICK_SECONDS,
    Gateway,
    Within,
    place,
    settings,
)
from tests.support.rollout_api import NAMES, Served, objects

BEGUN = 1_800_000_003
SECONDS = 170
"""Copies for 66 s, until two cohorts of 10 s have labels, and three steps of 34 s."""


def run(callers_begin: int, seconds: int, **more: Any) -> Gateway:
    """A rollout to its end or for so long; callers begin some seconds after it."""
    chosen = settings()
    served = Served(objects(chosen))
    gateway = Gateway(served, chosen, begins=BEGUN + callers_begin, **more)
    api: Any = Within(served)
    for now in range(BEGUN, BEGUN + seconds):
        gateway.second(now)
        if (now - BEGUN) % TICK_SECONDS == 0:
            cluster = Cluster(api, api, NAMES, clock=lambda at=now: at, monitor=api)
            cluster.run(tick())
    return gateway


def places(gateway: Gateway) -> list[tuple[str, int, int]]:
    return [place(it) for it in gateway.served.entries()]


@pytest.mark.parametrize("callers_begin", [0, 45])
def test_it_goes_through_all_steps_in_time(callers_begin: int) -> None:
    """Callers that begin later delay it by as much, and no more."""
    gateway = run(callers_begin, callers_begin + SECONDS)
    assert places(gateway) == PLACES
    entries = gateway.served.entries()
    assert all(recompute(it)[1] == [] for it in entries)
    counted = entries[1]["facts"]["counts"]["pairs accuracy"]
    assert float(counted["coverage"]) == 1


def test_copies_without_labels_are_no_reason_to_go_on() -> None:
    gateway = run(0, 300, labelled=False)
    assert places(gateway) == [("shadow", 0, 100)]


def test_a_less_accurate_revision_is_taken_back_before_anybody_gets_its_answers() -> (
    None
):
    gateway = run(0, 60, wrong_percent=20)
    assert places(gateway) == [("shadow", 0, 100), ("rollback", 0, 0)]
    assert gateway.served.entries()[-1]["reason"].startswith("pairs accuracy: ")
