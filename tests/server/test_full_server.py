"""A server whose places callers hold: what they hold is bounded, and probes get in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.test_limits import BODY, HEAD, read_head, wait_for_no_connections
from tests.support import sockets
from tests.support.model_server import ModelServer


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
        infers = HEAD + b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)
        assert b"too many connections" in full.exchange(infers)
        answer = full.exchange(b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 ")
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
