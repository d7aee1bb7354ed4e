"""What callers can make the recorder hold: connections, bytes and time have bounds."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bounded_http.connections import Bounds
from tests.support.alert_recorder import (
    Running,
    Store,
    program,
    recorded,
    web,
    webhook,
)

POST = b"POST /alerts HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"
PROBE = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"


def bounded(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    bounds = {"most": 64, "is_for_whole": True, "makes_room": True, **changes}
    monkeypatch.setattr(program, "BOUNDS", Bounds(**bounds))


def status_of(connection: socket.socket) -> int:
    return int(connection.recv(4096).split()[1])


def is_ended(connection: socket.socket) -> bool:
    """Wait for the other side to end it, whatever it said before."""
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def is_soon(holds: Callable[[], object]) -> bool:
    """Whether it holds within 10 s."""
    until = time.monotonic() + 10
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def dribbled(connection: socket.socket) -> bool:
    """Send one more byte; whether the other side has ended it."""
    try:
        connection.sendall(b" ")
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_a_whole_request_has_a_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A body that comes byte by byte would begin the time for silence anew."""
    bounded(monkeypatch, head_seconds=0.5)
    with Running(Store(tmp_path)) as made:
        began = time.monotonic()
        slow = made.connect()
        slow.sendall(POST % 10_000)
        slow.settimeout(0.05)
        while not dribbled(slow) and time.monotonic() - began < 5:
            pass
        slow.close()
        assert 0.4 < time.monotonic() - began < 3


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /alerts HT", POST % 9 + b"{", PROBE],
    ids=["idle", "in its head", "in its body", "answered"],
)
def test_a_probe_has_a_place_whatever_others_hold(
    monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    bounded(monkeypatch, most=5, head_seconds=30.0)
    with Running(Store(None)) as made, ExitStack() as stack:
        held = [stack.enter_context(made.connect()) for _ in range(5)]
        for one in held:
            one.sendall(begun)
            time.sleep(0.05)
        for going in held[:2]:
            probe = stack.enter_context(made.connect())
            probe.sendall(PROBE)
            assert status_of(probe) == 200
            if begun == PROBE:
                assert status_of(going) == 200
            assert is_ended(going), "whoever has asked for longest makes room"


def test_bytes_on_their_way_are_bounded_and_small_bodies_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bounded(monkeypatch, head_seconds=30.0)
    monkeypatch.setattr(web, "MAXIMUM_ARRIVING_BYTES", 300_000)
    with Running(Store(None)) as made, ExitStack() as stack:
        large = [stack.enter_context(made.connect()) for _ in range(2)]
        for one in large:
            one.sendall(POST % 1_000_000 + b" " * 200_000)
        ready, _, _ = select.select(large, [], [], 20)
        answer = b""
        while b"too many bytes are on their way" not in answer:
            more = ready[0].recv(4096)
            assert more, answer
            answer += more
        assert answer.startswith(b"HTTP/1.1 503")
        body = json.dumps(webhook("A")).encode()
        with made.connect() as small:
            small.sendall(POST % len(body) + body)
            assert status_of(small) == 200
        assert len(made.store.select("", "")) == 1


def test_lists_that_nobody_takes_are_few_and_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A short time for an answer would free places while the test looks at them."""
    bounded(monkeypatch, answer_seconds=5.0)
    store = Store(None)
    message = webhook(*["A"] * 8)
    message["alerts"][0]["annotations"]["summary"] = "x" * 900_000
    for _ in range(8):
        store.add(recorded.parse(json.dumps(message).encode(), datetime.now(UTC)))
    ask = b"GET /alerts HTTP/1.1\r\nhost: a\r\n\r\n"
    with Running(store) as made, ExitStack() as stack:
        held = [stack.enter_context(made.connect()) for _ in range(web.MAXIMUM_LISTS)]
        for one in held:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.sendall(ask)
        assert is_soon(lambda: made.application._lists == web.MAXIMUM_LISTS)
        for text, status in ((ask, 503), (PROBE, 200)):
            assert status_after(made, text) == status
        assert is_soon(lambda: status_after(made, ask) == 200)


def status_after(made: Running, text: bytes) -> int:
    with made.connect() as other:
        other.sendall(text)
        return status_of(other)


def test_connections_that_made_room_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bounded(monkeypatch, most=1)
    with Running(Store(None)) as made, made.connect(), made.connect() as second:
        second.sendall(PROBE.replace(b"healthz", b"metrics"))
        # In one piece or in two: to ask for a third would be to wait for the end.
        with second.makefile("rb") as lines:
            assert any(it.endswith(b"closed_total 1.0\n") for it in lines)
