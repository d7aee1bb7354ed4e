"""The rollout's pages: JSON that all can read, and metrics."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from rollout import __main__ as program
from rollout import page, web
from rollout.cluster import Cluster
from rollout.facts import Facts, Ready
from rollout.status import Phase, Status
from rollout.verdict import Verdict, weigh
from rollout.watched import Watched

from tests.support.pod_pages import get, running
from tests.support.prometheus_text import kinds, samples
from tests.support.rollout_api import NAMES, Served, objects, serve
from tests.support.rollouts import LITTLE, SETTINGS


def test_the_loop_is_alive_by_its_ticks_also_by_those_that_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new container mends neither a route that is not there nor the API server."""
    now = 1000.0
    monkeypatch.setattr(time, "time", lambda: now)
    watched = Watched()
    with served({"m": watched}) as port:
        now += web.LATE_SECONDS
        assert get(port, "/livez")[0] == 500
        with serve(Served()) as api:  # it answers 404 to everything
            program.step(Cluster(api, api, NAMES), watched)
        assert (watched.errors, watched.ticked) == (1, 0)
        assert get(port, "/livez")[0] == 200
        now += web.LATE_SECONDS
        assert get(port, "/livez")[0] == 500


@contextmanager
def served(watched: Mapping[str, Watched]) -> Iterator[int]:
    server = web.server(0, watched)
    with running(server):
        yield server.port


def test_bounds_that_are_infinite_are_texts() -> None:
    def no_number(name: str) -> Any:
        raise AssertionError(f"{name} is not JSON")

    counts = {"errors": LITTLE}
    facts = Facts(100, 0, 0, step=0, weight=5, ready=Ready(9, 9), counts=counts)
    outcome = weigh(SETTINGS, facts)
    assert math.isinf(outcome.judgements[0].lower)
    with served({"m": Watched(outcome)}) as port:
        _, text = get(port, "/rollouts/m")
    found = json.loads(text, parse_constant=no_number)
    assert found["judgements"][0]["lower"] == "-inf"
    assert (found["verdict"], found["reason"]) == ("hold", outcome.reason)


def test_metrics_say_the_verdict_the_last_tick_and_the_errors() -> None:
    facts = Facts(100, 0, 0, step=0, weight=5, ready=Ready(9, 9), counts={})
    outcome = weigh(SETTINGS, facts)
    status = Status("g", 3, 7, weight=5, step=0)
    one = Watched(outcome, status, ticked=12.5, errors=2)
    with served({"m": one, "new": Watched()}) as port:
        text = get(port, "/metrics")[1].decode()
    phases = {("rollout_phase", it, "m"): float(it == "running") for it in Phase}
    verdicts = {
        ("rollout_verdict", "m", it): float(it == outcome.verdict) for it in Verdict
    }
    assert samples(text) == {
        **verdicts,
        **phases,
        ("rollout_canary_weight_percent", "m"): 5,
        ("rollout_step_timestamp_seconds", "m"): 7,
        ("rollout_order_stands", "m"): 0,
        ("rollout_waits_for_data", "m"): 1,
        ("rollout_last_tick_timestamp_seconds", "m"): 12.5,
        ("rollout_last_tick_timestamp_seconds", "new"): 0,
        ("rollout_errors_total", "m"): 2,
        ("rollout_errors_total", "new"): 0,
    }
    assert kinds(text) == {
        "rollout_verdict": "gauge",
        "rollout_phase": "gauge",
        "rollout_canary_weight_percent": "gauge",
        "rollout_step_timestamp_seconds": "gauge",
        "rollout_order_stands": "gauge",
        "rollout_waits_for_data": "gauge",
        "rollout_last_tick_timestamp_seconds": "gauge",
        "rollout_errors": "counter",
    }


def test_readers_are_told_the_rollout_and_its_newest_decisions() -> None:
    served_objects = Served(objects(SETTINGS), {"": [{-300: 0, 30: 0}]})
    one = Watched()
    with serve(served_objects) as api:
        program.step(Cluster(api, api, NAMES, clock=lambda: 1000), one)
    with served({"m": one, "other": Watched(model="loans")}) as port:
        told = json.loads(get(port, "/rollouts/m")[1])
        listed = json.loads(get(port, "/rollouts")[1])["rollouts"]
        assert get(port, "/rollouts/other") == (200, b"null")
        assert get(port, "/rollouts/nobody")[0] == 404
    found = told["rollout"]
    assert found["headline"].startswith("m: a -> b, 5 % of the requests, step 1 of 2")
    assert (found["weights"], found["phase"]) == ({"a": 95, "b": 5}, "running")
    assert (found["started"], found["deadline"]) == (1000, 1000 + 72 * 3600)
    (decision,) = found["decisions"]
    assert decision["verdict"] == "promote"
    assert (decision["start"], decision["goal"], decision["time"]) == (0, 5, 1000)
    assert [(it["server"], it["model"]) for it in listed] == [
        ("m", "m"),
        ("other", "loans"),
    ]
    assert listed[0]["headline"] == found["headline"]
    assert listed[1]["reason"] == "the controller has not looked yet"


def test_a_tick_that_fails_leaves_what_was_seen_and_says_so() -> None:
    there = Served(objects(SETTINGS), {"": []})
    one = Watched()
    with serve(there) as api:
        program.step(Cluster(api, api, NAMES, clock=lambda: 1000), one)
        there.objects.clear()
        program.step(Cluster(api, api, NAMES, clock=lambda: 1015), one)
    found = page.of_one(one)
    assert found is not None
    assert found["rollout"]["is_failing"]
    assert found["rollout"]["weights"] == {"a": 95, "b": 5}


def test_settings_that_cannot_be_read_are_told_without_a_rollout() -> None:
    there = Served(objects(SETTINGS), {"": []})
    there.objects[NAMES.settings]["data"] = {}
    one = Watched()
    with serve(there) as api:
        program.step(Cluster(api, api, NAMES, clock=lambda: 1000), one)
    found = page.of_one(one)
    assert found is not None
    assert (found["verdict"], found["rollout"]) == ("stop", None)
    assert page.of_all({"m": one})["rollouts"][0]["headline"] == ""
