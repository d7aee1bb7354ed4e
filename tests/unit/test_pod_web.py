"""Probes and metrics of programs in pods: what callers can make them hold."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection

import pytest

from pod_parts import web
from tests.support.pod_pages import get, running

HEAD = b"GET /readyz HTTP/1.1\r\n"


def pages(path: str) -> tuple[HTTPStatus, str]:
    if path == "/readyz":
        return HTTPStatus.OK, "ready"
    return HTTPStatus.NOT_FOUND, f"nothing at {path}"


@contextmanager
def served(host: str = "127.0.0.1") -> Iterator[int]:
    server = web.Server(host, 0, pages)
    with running(server):
        yield server.port


@pytest.mark.parametrize("host", ["", "127.0.0.1"])
def test_a_page_is_text_and_a_query_changes_nothing(host: str) -> None:
    with served(host) as port:
        assert get(port, "/readyz?verbose") == (200, b"ready")
        assert get(port, "/other") == (404, b"nothing at /other")
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        assert answer.headers["content-type"] == web.TEXT
        connection.close()


def test_an_address_of_ipv6_is_listened_on() -> None:
    with served("::1") as port, socket.create_connection(("::1", port)) as connection:
        connection.sendall(HEAD + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.0 200")


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def test_silent_callers_hold_few_threads_and_a_probe_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Not the time ends them.
    monkeypatch.setattr(web, "CONNECTION_SECONDS", 60.0)
    monkeypatch.setattr(web, "MAXIMUM_CONNECTIONS", 4)
    with served() as port, ExitStack() as stack:
        before = threading.active_count()
        for _ in range(12):
            stack.enter_context(connect(port))
        # Each connection has a thread, and another that ends it; those of the oldest
        # end while the next ones begin.
        until = time.monotonic() + 10
        while threading.active_count() - before > 8:
            assert time.monotonic() < until, threading.enumerate()
            time.sleep(0.01)
        assert get(port, "/readyz") == (200, b"ready")


def test_a_probe_does_not_wait_for_silent_callers() -> None:
    """Each would be given `CONNECTION_SECONDS`, and callers before it as much."""
    with served() as port, ExitStack() as stack:
        began = time.monotonic()
        for _ in range(2 * web.MAXIMUM_CONNECTIONS):
            stack.enter_context(connect(port))
        assert get(port, "/readyz") == (200, b"ready")
        assert time.monotonic() - began < web.CONNECTION_SECONDS / 2


def test_a_head_that_comes_byte_by_byte_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web, "CONNECTION_SECONDS", 0.5)
    began = time.monotonic()
    with served() as port, connect(port) as slow:
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


def test_a_page_that_fails_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_: str) -> tuple[HTTPStatus, str]:
        raise ValueError("no such page")

    server = web.Server("127.0.0.1", 0, broken)
    with running(server):
        connection = connect(server.port)
        connection.sendall(HEAD + b"\r\n")
        assert connection.recv(100) == b""
        connection.close()
    told = json.loads(capsys.readouterr().err)
    assert told["level"] == "error"
    assert told["message"] == "a page could not be answered: ValueError('no such page')"
