"""The open-loop generator: arrivals keep their time, waits are not left out."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from slipway.bench.http_client import Connection
from slipway.bench.open_loop import (
    Background,
    Bounds,
    Target,
    constant,
    run,
    sine,
)
from slipway.bench.report import Report

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"2\r\nok\r\n3;x=y\r\nyes\r\n0\r\n\r\n"
)
CLOSING = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"

Answer = Callable[[int], bytes | None]


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """Answers the n-th request of all with `answer(n)`; None hangs up."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(2)
                count += 1
                said = answer(count - 1)
                if said is None:
                    break
                writer.write(said)
                if said is CLOSING:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        found.append(listener.sockets[0].getsockname()[1])
        ready.set()
        async with listener:
            while not over.is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.01)

    found: list[int] = []
    ready, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    ready.wait(5)
    try:
        yield f"http://127.0.0.1:{found[0]}/infer"
    finally:
        over.set()
        thread.join()


def test_as_many_requests_as_the_rate_says() -> None:
    with server(lambda _: LENGTH) as url:
        report = run(Target(url, (b"{}",)), constant(200, 0.5))
    assert report.outcomes == {"200": 100}
    assert 0.49 < report.seconds < 2
    assert not report.failed
    assert report.as_data()["latency"]["p99"] > 0


@pytest.mark.parametrize("connections", [1, 256])
def test_a_pause_shows_in_every_request_that_it_delayed(connections: int) -> None:
    def pausing(number: int) -> bytes:
        if number == 20:
            time.sleep(0.4)
        return LENGTH

    with server(pausing) as url:
        report = run(
            Target(url, (b"{}",)), constant(100, 1), Bounds(connections=connections)
        )
    # 40 requests were due in the pause; a closed loop would tell of one.
    slow = sum(latency > 0.1 for latency in report.latencies)
    assert slow >= 25
    assert max(report.latencies) >= 0.39


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED, CLOSING])
def test_answers_of_every_framing_are_read(answer: bytes) -> None:
    with server(lambda _: answer) as url:
        report = run(Target(url, (b"{}",)), constant(100, 0.2))
    assert report.outcomes == {"200": 20}


def test_a_body_in_pieces_is_put_together() -> None:
    bodies: list[bytes] = []
    connection = Connection(lambda _c, _s, body: bodies.append(body), lambda *_: None)
    early = b"HTTP/1.1 100 Continue\r\n\r\n"
    for answer in (LENGTH, CHUNKED, early + LENGTH):
        connection.busy = True
        for at in range(len(answer)):
            connection.data_received(answer[at : at + 1])
    assert bodies == [b"ok", b"okyes", b"ok"]


def test_failures_are_named_and_are_no_goodput() -> None:
    answers = [LENGTH, BUSY, None, b"nonsense\r\n\r\n"]
    with server(lambda number: answers[number % 4]) as url:
        report = run(Target(url, (b"{}",)), constant(40, 0.5))
    assert report.outcomes["200"] == 5 == report.good
    assert report.failed == {"503": 5, "ConnectionClosed": 5, "MalformedAnswer": 5}
    assert len(report.failures) == 15


def test_what_is_never_answered_ends_by_time_or_for_want_of_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        start = time.monotonic()
        report = run(
            Target(url, (b"{}",)),
            constant(20, 0.5),
            Bounds(connections=4, timeout_seconds=0.5),
        )
    assert report.failed["Timeout"] >= 4
    assert report.outcomes.total() == 10
    assert set(report.failed) <= {"Timeout", "NotSent"}
    assert time.monotonic() - start < 5
    assert report.as_data()["latency"]["p99"] is None


def test_nobody_there_is_a_failure_of_each_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    report = run(Target(f"http://127.0.0.1:{port}/"), constant(50, 0.2))
    assert report.outcomes == {"ConnectionRefusedError": 10}


def test_a_run_in_the_background_ends_with_its_block() -> None:
    with (
        server(lambda _: LENGTH) as url,
        Background(Target(url, (b"{}",)), sine(50, 150, 1, seconds=60)) as load,
    ):
        while load.report.sent < 20:
            time.sleep(0.01)
    assert load.report.stopped
    assert load.report.outcomes == {"200": load.report.sent}


def test_the_judge_sees_number_and_body() -> None:
    def judge(number: int, status: int, body: bytes) -> str:
        right = body == (b"ok" if number % 2 == 0 else b"other")
        return f"{status}" if right else "WrongAnswer"

    with server(lambda _: LENGTH) as url:
        report = run(Target(url, (b"{}",)), constant(50, 0.2), judge=judge)
    assert report.outcomes == {"200": 5, "WrongAnswer": 5}


def test_no_more_requests_than_the_bounds_allow() -> None:
    with server(lambda _: LENGTH) as url:
        report = run(Target(url, (b"{}",)), constant(100, 60), Bounds(requests=10))
    assert report.sent == 10


def test_schedules() -> None:
    assert list(constant(4, 1)) == [0, 0.25, 0.5, 0.75]
    times = list(sine(10, 30, 10, seconds=10))
    assert len(times) == pytest.approx(200, abs=2)
    low = sum(at < 1 or at > 9 for at in times)
    high = sum(4 < at < 6 for at in times)
    assert high > 2 * low


def test_a_run_is_not_valid_if_the_generator_was_late() -> None:
    report = Report()
    for late in [0.0] * 95 + [0.02] * 5:
        report.begun(late)
    assert "20.0 ms late at p99" in report.invalid
    assert not Report(lateness=report.lateness[:90]).invalid
