"""SIGTERM: ready through the deregistration delay, nothing in flight is lost."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import uvloop
from model_server.lifecycle import Server

from tests.server.conftest import COLUMNS
from tests.support.model_server import ModelServer, read_all, request

BODY = request([1, 2, 3, 4], COLUMNS)


class Callers:
    """Clients that ask in a loop until told to stop, and count what they meet."""

    def __init__(self, url: str, count: int, *, keep_alive: bool) -> None:
        self.seen: Counter[str] = Counter()
        self._end = threading.Event()
        self._url = url
        self._keep_alive = keep_alive
        self._clients = [httpx.Client(timeout=10, verify=False) for _ in range(count)]
        self._threads = [
            threading.Thread(target=self._ask, args=[client])
            for client in self._clients
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> Counter[str]:
        self._end.set()
        for thread in self._threads:
            thread.join(20)
        return self.seen

    def wait_for(self, count: int) -> None:
        """Wait until so many requests were answered with 200."""
        end = time.monotonic() + 20
        while self.seen["200"] < count:
            assert time.monotonic() < end, self.seen
            time.sleep(0.01)

    def _ask(self, client: httpx.Client) -> None:
        headers = {} if self._keep_alive else {"connection": "close"}
        with client:
            while not self._end.is_set():
                try:
                    answer = client.post(
                        f"{self._url}/infer", json=BODY, headers=headers
                    )
                    self.seen[str(answer.status_code)] += 1
                except httpx.HTTPError as error:
                    self.seen[type(error).__name__] += 1
                time.sleep(0.002)


def wait_for_message(server: ModelServer, message: str) -> None:
    end = time.monotonic() + 10
    while message not in [line["message"] for line in server.logs()]:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("keep_alive", [True, False])
def test_no_request_fails_during_the_deregistration_delay(
    models: Path, log_folder: Path, keep_alive: bool
) -> None:
    with ModelServer(models, log_folder, DEREGISTRATION_SECONDS=3) as server:
        callers = Callers(server.url, 4, keep_alive=keep_alive)
        callers.wait_for(20)
        server.process.send_signal(signal.SIGTERM)
        wait_for_message(server, "draining")
        before = callers.seen["200"]
        ready = server.client.get("/readyz")
        assert ready.status_code == 200
        assert ready.headers["connection"] == "close"
        callers.wait_for(before + 20)
        seen = callers.stop()
        assert server.is_alive()
        assert server.process.wait(10) == 0
    assert set(seen) == {"200"}
    # Lines of requests come from a thread of their own, at most so many a second.
    messages = [line["message"] for line in server.logs()]
    steps = [it for it in messages if it != "request answered"]
    assert steps[-3:] == ["draining", "closing", "stopped"]


def test_requests_in_flight_are_finished(slow_models: Path, log_folder: Path) -> None:
    """Twenty requests wait for a slow model when listening ends; all are answered."""
    with ModelServer(
        slow_models, log_folder, MAX_BATCH_ROWS=1, MAX_WAIT_SECONDS=60
    ) as server:
        body = json.dumps(BODY).encode()
        raw = b"POST /infer HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b"
        server.metrics()
        callers = [server.connect(timeout=30) for _ in range(20)]
        for caller in callers:
            caller.sendall(raw % (len(body), body))
        server.metrics()
        server.process.send_signal(signal.SIGTERM)
        answers = [read_all(caller) for caller in callers]
        for caller in callers:
            caller.close()
        assert server.process.wait(20) == 0
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 200"] * 20
    assert all(b'"outputs":[' in answer for answer in answers)
    closing = next(line for line in server.logs() if line["message"] == "closing")
    assert closing["inflight"] > 0


async def answer_ok(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_who_waits_in_the_kernels_queue_is_answered(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Forty have connected and sent before listening ends, and none was accepted yet.

    So it is where a process gets no time on a full machine. uvloop accepts one a turn.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    listener.setblocking(False)
    options = uvicorn.Config(answer_ok, lifespan="off", log_config=None, ws="none")
    server = Server(options)
    options.load()
    server.lifespan = options.lifespan_class(options)
    raw = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"

    async def stop_at_once() -> list[socket.socket]:
        await server.startup(sockets=[listener])
        callers = [socket.create_connection(listener.getsockname()) for _ in range(40)]
        for caller in callers:
            caller.sendall(raw)
        await server.shutdown(sockets=[listener])
        return callers

    with asyncio.Runner(loop_factory=loop) as runner:
        callers = runner.run(stop_at_once())
    answers = [read_all(caller)[:12] for caller in callers]
    for caller in callers:
        caller.close()
    assert answers == [b"HTTP/1.1 200"] * 40


def test_the_drain_has_an_end(models: Path, log_folder: Path) -> None:
    """A client that never finishes its request does not hold the exit up."""
    with (
        ModelServer(
            models, log_folder, DRAIN_SECONDS=1, REQUEST_TIMEOUT_SECONDS=60
        ) as server,
        server.connect() as connection,
    ):
        connection.sendall(
            b"POST /infer HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\n{"
        )
        time.sleep(0.2)
        started = time.monotonic()
        assert server.stop() == 0
        assert 0.8 < time.monotonic() - started < 6


def test_after_the_delay_nothing_is_accepted(models: Path, log_folder: Path) -> None:
    with ModelServer(
        models, log_folder, DRAIN_SECONDS=3, REQUEST_TIMEOUT_SECONDS=60
    ) as server:
        with server.connect() as held:
            held.sendall(
                b"POST /infer HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\n{"
            )
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.7)
            assert server.is_alive()
            with pytest.raises(ConnectionRefusedError):
                server.connect()
        assert server.process.wait(10) == 0


def test_interrupt_leaves_the_delay_out(models: Path, log_folder: Path) -> None:
    with ModelServer(models, log_folder, DEREGISTRATION_SECONDS=60) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 0


def test_a_second_signal_ends_the_wait(models: Path, log_folder: Path) -> None:
    with ModelServer(models, log_folder, DEREGISTRATION_SECONDS=60) as server:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.is_alive()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0


def test_a_draining_server_closes_what_it_answers(
    models: Path, log_folder: Path
) -> None:
    """It says `connection: close` on both ways and does so."""
    body = json.dumps(BODY).encode()
    raw = b"POST /infer HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b"
    with ModelServer(models, log_folder, DEREGISTRATION_SECONDS=60) as server:
        server.process.send_signal(signal.SIGTERM)
        wait_for_message(server, "draining")
        for request_bytes in (
            raw % (len(body), body),
            raw % (len(body) + 100_000, body.ljust(len(body) + 100_000)),
            b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n",
        ):
            started = time.monotonic()
            answer = server.exchange(request_bytes, timeout=20)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert answer.count(b"connection: close") == 1
            assert time.monotonic() - started < 10
