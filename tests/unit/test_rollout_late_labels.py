"""A rollout with late labels, from copies to all requests, as the lab's test has it.

tests/cluster/test_rollout_by_labels.py has the same settings; here the program goes
through them second by second, with the counts of a gateway and a monitor.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from rollout.cluster import Cluster
from rollout.facts import Facts
from rollout.protocol import tick
from rollout.record import recompute
from rollout.settings import read
from rollout.verdict import Verdict, weigh

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


def run(
    callers_begin: int,
    seconds: int,
    *,
    begun: int = BEGUN,
    changes: dict[str, Any] | None = None,
    **more: Any,
) -> Gateway:
    """A rollout for so long; callers begin some seconds after it."""
    chosen = settings(**changes or {})
    served = Served(objects(chosen))
    gateway = Gateway(served, chosen, begins=begun + callers_begin, **more)
    api: Any = Within(served)
    for now in range(begun, begun + seconds):
        gateway.second(now)
        if (now - begun) % TICK_SECONDS == 0:
            clock = partial(float, now)
            cluster = Cluster(api, api, NAMES, clock=clock, monitor=api)
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


def evidence_again(entry: dict[str, Any], intervals: int) -> Verdict:
    """The verdict on a record's facts, had it fewer intervals of the gateway."""
    facts = Facts.of(entry["facts"])
    assert facts.counts
    errors = facts.counts["errors"]
    fewer = replace(errors, intervals=errors.intervals[:intervals])
    counts = {**facts.counts, "errors": fewer}
    return weigh(read(entry["settings"]), replace(facts, counts=counts)).verdict


@pytest.mark.parametrize("phase", range(10))
def test_one_with_2_percent_errors_is_at_0_an_interval_and_2_s_after_the_evidence(
    phase: int,
) -> None:
    """Whenever in an interval its step begins."""
    changes = {"gates": {"errors": {"tolerate_points": 0.5}}, "shadow": None}
    gateway = run(0, 120, bad_percent=2, begun=BEGUN + phase, changes=changes)
    assert places(gateway) == [("promote", 5, 0), ("rollback", 0, 0)]
    entry = gateway.served.entries()[-1]
    *_, newest = entry["facts"]["counts"]["errors"]["intervals"]
    proven = newest[0] + gateway.settings.interval_seconds
    assert entry["facts"]["now"] - proven <= 2
    assert gateway.served.weights() == [100, 0]
    rows = len(entry["facts"]["counts"]["errors"]["intervals"])
    assert evidence_again(entry, rows) is Verdict.ROLLBACK
    assert evidence_again(entry, rows - 1) is Verdict.HOLD


def test_copies_without_labels_are_no_reason_to_go_on() -> None:
    gateway = run(0, 300, labelled=False)
    assert places(gateway) == [("shadow", 0, 100)]


def test_a_less_accurate_revision_is_taken_back_before_anybody_gets_its_answers() -> (
    None
):
    gateway = run(0, 60, wrong_percent=20)
    assert places(gateway) == [("shadow", 0, 100), ("rollback", 0, 0)]
    assert gateway.served.entries()[-1]["reason"].startswith("pairs accuracy: ")
