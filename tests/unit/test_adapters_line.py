"""How long a request would wait for a thread under gunicorn."""

from __future__ import annotations

import time

import pytest
from model_server.adapters.line import Line


def test_the_wait_is_that_of_those_before_over_all_threads() -> None:
    line = Line(threads=4)
    line.learn(0.2)
    assert line.wait_seconds == 0  # nobody waits: there is a thread, or one soon
    for _ in range(40):
        line.enter()
    assert line.wait_seconds == pytest.approx(40 * 0.2 / 4)


def test_it_ends_with_those_who_leave() -> None:
    line = Line(threads=1)
    line.learn(1)
    entered = line.enter()
    assert line.leave(entered) < time.monotonic() - entered + 1e-6
    assert line.wait_seconds == 0


def test_slow_requests_of_an_hour_ago_are_forgotten() -> None:
    line = Line(threads=1)
    line.learn(10)
    line.enter()
    for _ in range(100):
        line.learn(0.01)
    assert line.wait_seconds < 0.02
