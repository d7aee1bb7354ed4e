"""The receiver behind its real server: senders that are slow, or go away."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from model_monitor.receiver import ReceiverSettings, application
from model_monitor.store import Store
from prometheus_client import CollectorRegistry

from tests.support.monitor_records import NAME, prediction, text

CONTENT = gzip.compress(text([prediction()]))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


@pytest.fixture
def port(store: Store) -> Iterator[int]:
    """A receiver that gives a body half a second."""
    app = application(store, ReceiverSettings(body_seconds=0.5), CollectorRegistry())
    config = uvicorn.Config(app, log_config=None, lifespan="off", http="h11")
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


def start(port: int, sent: bytes) -> socket.socket:
    """A request that announces more than it sends."""
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(
        f"PUT /v1/logs/{NAME} HTTP/1.1\r\nHost: m\r\nContent-Length: {len(CONTENT)}"
        "\r\n\r\n".encode()
        + sent
    )
    return client


def wait_until_gone(store: Store) -> None:
    deadline = time.monotonic() + 10
    while list(store.landing.glob(".tmp-*")):
        assert time.monotonic() < deadline, "the temporary file is still there"
        time.sleep(0.01)


def test_a_slow_sender_is_answered_and_cut_off(store: Store, port: int) -> None:
    with start(port, CONTENT[:10]) as client:
        answer = b""
        while piece := client.recv(65_536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["error"]["code"] == "too_slow"
    assert not [path for path in store.landing.iterdir() if path.is_file()]


def test_a_sender_that_goes_away_leaves_nothing(store: Store, port: int) -> None:
    with start(port, CONTENT[:10]):
        deadline = time.monotonic() + 10
        while not list(store.landing.glob(".tmp-*")):
            assert time.monotonic() < deadline, "the body is not being read"
            time.sleep(0.01)
    wait_until_gone(store)
    assert not (store.landing / NAME).exists()


def test_a_file_through_the_real_server(store: Store, port: int) -> None:
    url = f"http://127.0.0.1:{port}/v1/logs/{NAME}"
    assert httpx.put(url, content=CONTENT).status_code == 201
    assert httpx.put(url, content=CONTENT).status_code == 200
    assert (store.landing / NAME).read_bytes() == CONTENT


def test_a_refused_body_is_not_read_on(store: Store, port: int) -> None:
    """The connection is closed, so that what follows is not taken for a request."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(
            b"PUT /v1/logs/bad HTTP/1.1\r\nHost: m\r\nContent-Length: 100\r\n\r\n"
        )
        answer = b""
        while piece := client.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answer.lower()
