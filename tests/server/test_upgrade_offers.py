"""Requests that offer an upgrade get the answers of those that do not.

JDK's client offers HTTP/2 with each request, others offer WebSocket or TLS.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.conftest import COLUMNS
from tests.support.example_app import server_or_example
from tests.support.model_server import ModelServer, read_all, request

SETTINGS = "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"
JDK = f"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: {SETTINGS}\r\n"
OFFERS = [
    f"{JDK}Upgrade: h2c\r\n",
    f"{JDK}upgrade: websocket\r\n",
    f"{JDK}upgrade: TLS/1.0, HTTP/2.0, IRC/6.9\r\n",
    f"{JDK}upgrade: anything\r\n",
    "upgrade: websocket\r\nconnection: keep-alive, upgrade\r\nUpgrade: h2c\r\n",
]
PIECES = {"whole": 10**6, "in packets": 150, "in bits": 31}


@pytest.fixture(scope="module", params=["server", "fastapi", "flask"])
def app(
    request: pytest.FixtureRequest,
    models: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ModelServer]:
    log = tmp_path_factory.mktemp(request.param) / "log"
    log.mkdir()
    with server_or_example(request.param, models, log) as running:
        yield running


def message(number: int, offer: str, framing: str) -> bytes:
    """A request whose answer tells its number, and whether its body arrived."""
    body = json.dumps(request([number, 2.5, -3, 0], COLUMNS)).encode()
    head = f"x-request-id: no-{number}\r\nhost: a\r\n{offer}"
    if framing == "no body":
        return f"GET /v2/models/tiny HTTP/1.1\r\n{head}\r\n".encode()
    start = f"POST /infer HTTP/1.1\r\n{head}content-type: application/json\r\n".encode()
    if framing == "chunked":
        ends = b"9\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n"
        chunks = ends % (body[:9], len(body) - 9, body[9:])
        return start + b"transfer-encoding: chunked\r\n\r\n" + chunks
    if framing == "expected":
        start += b"expect: 100-continue\r\n"
    return start + b"content-length: %d\r\n\r\n%b" % (len(body), body)


def answers(app: ModelServer, raw: bytes, piece: int) -> list[tuple[bytes, bytes]]:
    """Send bytes in pieces; return heads (sorted, without dates) and bodies."""
    with app.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(raw), piece):
            connection.sendall(raw[start : start + piece])
            time.sleep(0.0005)  # so that it is a packet
        received = read_all(connection)
    found = []
    for text in re.split(rb"(?=HTTP/1\.1 \d)", received):
        if text and not text.startswith(b"HTTP/1.1 100 "):
            head, _, body = text.partition(b"\r\n\r\n")
            lines = [
                it for it in head.split(b"\r\n") if not it.lower().startswith(b"date:")
            ]
            found.append((b"\n".join(sorted(lines)), body))
    return found


@pytest.mark.parametrize("framing", ["length", "chunked", "expected", "no body"])
@pytest.mark.parametrize("pieces", PIECES)
def test_an_offer_changes_nothing(app: ModelServer, framing: str, pieces: str) -> None:
    """Offers and ordinary requests in turn, all on one connection."""
    offers = [part for offer in OFFERS for part in (offer, "", offer)]
    last = message(99, "connection: close\r\n", framing)
    raw = [
        b"".join(message(number, it, framing) for number, it in enumerate(given)) + last
        for given in (offers, [""] * len(offers))
    ]
    expected = answers(app, raw[1], PIECES["whole"])
    assert len(expected) == len(offers) + 1
    assert all(b"HTTP/1.1 200 OK" in head for head, _ in expected)
    assert answers(app, raw[0], PIECES[pieces]) == expected


def test_what_closes_a_connection_closes_it_with_an_offer(app: ModelServer) -> None:
    """Nothing after such a request is read, let alone its own body as the next.

    gunicorn 27.0.1 knows `close` only where it stands alone, with and without offers.
    """
    if getattr(app, "framework", "") == "flask":
        pytest.skip("gunicorn keeps the connection where close stands in a list")
    offer = "connection: close, Upgrade\r\nupgrade: h2c\r\n"
    found = answers(app, message(1, offer, "length") + message(2, "", "length"), 10**6)
    assert len(found) == 1
    assert b"HTTP/1.1 200 OK" in found[0][0]


def test_a_refused_offer_is_refused_once(app: ModelServer) -> None:
    """The body of a request that gets an error is not the next request either."""
    inner = message(7, "", "length")
    outer = (
        b"POST /infer HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(inner), inner)
    )
    found = answers(app, outer + message(8, "connection: close\r\n", "length"), 10**6)
    assert [b"no-7" in head + body for head, body in found] == [False, False]
    assert b"HTTP/1.1 400 " in found[0][0]
    assert b"HTTP/1.1 200 OK" in found[1][0]


def test_connect_is_refused(app: ModelServer) -> None:
    """A tunnel is not an offer that can be passed over: what follows is not HTTP."""
    inner = message(7, "", "length")
    found = answers(app, b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n" + inner, 10**6)
    assert len(found) == 1
    assert b"no-7" not in found[0][0]
    assert b" 200 " not in found[0][0]
