"""A server whose places callers hold: what they hold is bounded, and probes get in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server.test_limits import BODY, HEAD, read_head, wait_for_no_connections
from tests.support import sockets
from tests.support.model_server import ModelServer, read_all
from tests.support.prometheus_text import labelled

INFER = HEAD + b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)


@pytest.fixture(scope="module")
def full(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelServer]:
    """A server that takes 20 connections, and waits for requests longer than tests."""
    log = tmp_path_factory.mktemp("full") / "log"
    log.mkdir()
    with ModelServer(
        models,
        log,
        REQUEST_TIMEOUT_SECONDS=300,
        MAX_CONNECTIONS=20,
        MAX_BODY_BYTES=200_000,
        MAX_BUFFERED_BYTES=300_000,
    ) as running:
        yield running


def test_a_full_server_still_answers_probes(full: ModelServer) -> None:
    """Else the kubelet would kill a replica whose connections callers hold."""
    wait_for_no_connections(full)
    opened = [full.connect() for _ in range(20)]
    try:
        for path in (b"/healthz", b"/readyz?x", b"/metrics", b"/v2/health/live"):
            asked = (
                b"GET " + path + b" HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
            )
            assert full.exchange(asked).startswith(b"HTTP/1.1 200 ")
        assert b"too many connections" in full.exchange(INFER)
        answer = full.exchange(b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 ")
    finally:
        for connection in opened:
            connection.close()
    wait_for_no_connections(full)


def wait_for_connections(server: ModelServer, number: int) -> None:
    """Until so many are open, beside the one that asks."""

    def are_open() -> bool:
        with httpx.Client(base_url=server.url) as client:
            text = client.get("/metrics").text
        return labelled(text, "model_server_connections") == [({}, number + 1)]

    sockets.wait_until(are_open)


def test_a_place_for_probes_is_free_after_each_answer(full: ModelServer) -> None:
    """Else callers could hold these places, too."""
    wait_for_no_connections(full)
    opened = [full.connect() for _ in range(20)]
    try:
        with full.connect() as probe:
            probe.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
            answer = read_all(probe)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" in answer
        # Whoever came before it was full is served, and keeps the connection.
        for _ in range(2):
            opened[0].sendall(INFER)
            assert read_head(opened[0]).startswith(b"HTTP/1.1 200 ")
    finally:
        for connection in opened:
            connection.close()
    wait_for_no_connections(full)


def test_who_came_when_it_was_full_is_served_once_there_is_room(
    full: ModelServer,
) -> None:
    wait_for_no_connections(full)
    opened = [full.connect() for _ in range(21)]
    try:
        wait_for_connections(full, 21)
        for connection in opened[:2]:
            connection.close()
        wait_for_connections(full, 19)
        for _ in range(2):
            opened[20].sendall(INFER)
            assert read_head(opened[20]).startswith(b"HTTP/1.1 200 ")
    finally:
        for connection in opened:
            connection.close()
    wait_for_no_connections(full)


def test_small_bodies_under_way_count_too(full: ModelServer) -> None:
    """Of each of five connections 58 KB, and then there is no room for 11 KB more."""
    wait_for_no_connections(full)
    head = HEAD + b"content-length: 65000\r\n\r\n"
    body = BODY.ljust(65_000)
    opened = [full.connect() for _ in range(7)]
    try:
        for connection in opened[:5]:
            connection.sendall(head + body[:58_000])
        sockets.wait_until(lambda: not sockets.under_way(full.port))
        for connection in opened[5:]:
            connection.sendall(head + body[:11_000])
            assert read_head(connection).startswith(b"HTTP/1.1 503 ")
        for connection in opened[:5]:
            connection.sendall(body[58_000:])
            assert read_head(connection).startswith(b"HTTP/1.1 200 ")
    finally:
        for connection in opened:
            connection.close()
    wait_for_no_connections(full)
    assert full.client.post("/infer", content=body).is_success
