"""The rollout's pages: what callers can make it hold, and JSON that all can read."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest
from rollout import web
from rollout.facts import Facts, Ready
from rollout.verdict import Verdict, weigh
from rollout.watched import Watched

from tests.support.prometheus_text import kinds, samples
from tests.support.rollouts import LITTLE, SETTINGS

HEAD = b"GET /readyz HTTP/1.1\r\n"


@contextmanager
def served(watched: Mapping[str, Watched]) -> Iterator[int]:
    server = web.server(0, watched)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def test_silent_callers_hold_few_threads_and_a_probe_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web, "CONNECTION_SECONDS", 1.0)
    monkeypatch.setattr(web, "MAXIMUM_CONNECTIONS", 4)
    with served({}) as port, ExitStack() as stack:
        before = threading.active_count()
        for _ in range(12):
            stack.enter_context(connect(port))
        # Each connection has a thread, and another that ends it.
        most, until = 0, time.monotonic() + 0.5
        while time.monotonic() < until:
            most = max(most, threading.active_count() - before)
            time.sleep(0.01)
        assert most <= 8
        assert get(port, "/readyz") == (200, b"ready")


def test_a_head_that_comes_byte_by_byte_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web, "CONNECTION_SECONDS", 0.5)
    began = time.monotonic()
    with served({}) as port, connect(port) as slow:
        slow.settimeout(0.05)
        while not dribbled(slow):
            assert time.monotonic() - began < 5
    assert time.monotonic() - began > 0.4


def dribbled(connection: socket.socket) -> bool:
    """Send one more byte; whether the other side has ended it."""
    try:
        connection.sendall(HEAD[:1])
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_bounds_that_are_infinite_are_texts() -> None:
    def no_number(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

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
    watched = {"m": Watched(outcome, ticked=12.5, errors=2), "new": Watched()}
    with served(watched) as port:
        text = get(port, "/metrics")[1].decode()
    verdicts = {
        ("rollout_verdict", "m", it): float(it == outcome.verdict) for it in Verdict
    }
    assert samples(text) == {
        **verdicts,
        ("rollout_last_tick_timestamp_seconds", "m"): 12.5,
        ("rollout_last_tick_timestamp_seconds", "new"): 0,
        ("rollout_errors_total", "m"): 2,
        ("rollout_errors_total", "new"): 0,
    }
    assert kinds(text) == {
        "rollout_verdict": "gauge",
        "rollout_last_tick_timestamp_seconds": "gauge",
        "rollout_errors": "counter",
    }
