"""HTTP/2 under gRPC: what ends a stream or a connection, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server.conftest import COLUMNS
from tests.support.grpc_calls import request
from tests.support.http2_wire import (
    CALL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Client,
    assert_answers,
    frame,
    goaways,
    grpc_server,
    message,
    number,
    served,
    setting,
    settle,
)

PROTOCOL, FLOW_CONTROL, CLOSED, SIZE, REFUSED, CANCEL = 1, 3, 5, 6, 7, 8
COMPRESSION, CALM = 9, 11
ONE = [[1.0] * COLUMNS]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame(DATA, bytes(16385), 0, 1), SIZE, id="frame too large"),
        pytest.param(frame(DATA, b"x"), PROTOCOL, id="data of no stream"),
        pytest.param(frame(DATA, b"x", 0, 7), PROTOCOL, id="data of an idle stream"),
        pytest.param(frame(HEADERS, b"", 4, 2), PROTOCOL, id="a stream of ours"),
        pytest.param(frame(HEADERS, b"", 4), PROTOCOL, id="a head of no stream"),
        pytest.param(frame(HEADERS, b"\x09", 12, 1), PROTOCOL, id="padding too long"),
        pytest.param(frame(CONTINUATION, b"", 4, 1), PROTOCOL, id="no head goes on"),
        pytest.param(
            frame(HEADERS, b"", 0, 1) + frame(PING, bytes(8)),
            PROTOCOL,
            id="a ping inside a head",
        ),
        pytest.param(
            frame(HEADERS, b"", 0, 1) + frame(CONTINUATION, b"", 4, 3),
            PROTOCOL,
            id="another stream goes on",
        ),
        pytest.param(frame(SETTINGS, bytes(5)), SIZE, id="settings cut off"),
        pytest.param(frame(SETTINGS, bytes(6), 1), SIZE, id="settings acknowledged"),
        pytest.param(frame(SETTINGS, b"", 0, 1), PROTOCOL, id="settings of a stream"),
        pytest.param(setting(2, 2), PROTOCOL, id="push neither on nor off"),
        pytest.param(setting(4, 2**31), FLOW_CONTROL, id="first window too large"),
        pytest.param(setting(5, 100), PROTOCOL, id="frames too small"),
        pytest.param(frame(PING, bytes(7)), SIZE, id="a short ping"),
        pytest.param(frame(PING, bytes(8), 0, 1), PROTOCOL, id="a ping of a stream"),
        pytest.param(frame(RST_STREAM, number(8)), PROTOCOL, id="resets no stream"),
        pytest.param(
            frame(RST_STREAM, number(8), 0, 5), PROTOCOL, id="resets an idle stream"
        ),
        pytest.param(frame(RST_STREAM, b"", 0, 1), SIZE, id="a short reset"),
        pytest.param(frame(PRIORITY, b"", 0, 1), SIZE, id="a short priority"),
        pytest.param(frame(GOAWAY, bytes(8), 0, 1), PROTOCOL, id="goaway of a stream"),
        pytest.param(frame(PUSH_PROMISE, bytes(4), 4, 1), PROTOCOL, id="a push"),
        pytest.param(frame(WINDOW_UPDATE, number(0)), PROTOCOL, id="a window of 0"),
        pytest.param(
            frame(WINDOW_UPDATE, number(2**31 - 1)), FLOW_CONTROL, id="window too large"
        ),
        pytest.param(
            frame(WINDOW_UPDATE, number(1), 0, 9), PROTOCOL, id="window of an idle one"
        ),
        pytest.param(frame(HEADERS, b"\xff" * 9, 4, 1), COMPRESSION, id="no HPACK"),
        pytest.param(frame(HEADERS, b"\x3f\xe2\x1f", 4, 1), COMPRESSION, id="table"),
        pytest.param(frame(HEADERS, b"\0", 4, 1), COMPRESSION, id="HPACK cut off"),
    ],
)
def test_a_fault_ends_the_connection(models: Path, data: bytes, code: int) -> None:
    async def run(client: Client) -> None:
        client.send(data)
        assert goaways(client) == [code]
        assert client.transport.is_closing()

    served(models, run)


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n", PREFACE + frame(PING, bytes(8))]
)
def test_who_does_not_begin_as_he_must_is_not_served(models: Path, data: bytes) -> None:
    async def run(_: Client) -> None:
        server = await grpc_server(models)
        client = Client(server)
        for place in range(len(data)):  # byte by byte, as a network may
            client.send(data[place : place + 1])
        assert goaways(client) == [PROTOCOL]
        assert client.transport.is_closing()

    served(models, run)


@pytest.mark.parametrize(
    ("others", "code"),
    [
        ({":path": None}, PROTOCOL),
        ({":method": None}, PROTOCOL),
        ({":scheme": None}, PROTOCOL),
        ({"connection": "close"}, PROTOCOL),
        ({"transfer-encoding": "chunked"}, PROTOCOL),
        ({"Upper": "x"}, PROTOCOL),
        ({":status": "200"}, PROTOCOL),
    ],
)
def test_a_malformed_head_ends_its_stream_alone(
    models: Path, others: dict[str, str | None], code: int
) -> None:
    async def run(client: Client) -> None:
        stream = client.head(others)
        found = client.received()
        assert [(it.kind, it.stream, it.code) for it in found] == [
            (RST_STREAM, stream, code)
        ]
        await assert_answers(client)

    served(models, run)


def test_faults_of_one_stream(models: Path) -> None:
    async def run(client: Client) -> None:
        window = client.connection.limits.stream_window_bytes
        for send, code in (
            (lambda it: frame(WINDOW_UPDATE, number(0), 0, it), PROTOCOL),
            (lambda it: frame(WINDOW_UPDATE, number(2**31 - 1), 0, it), FLOW_CONTROL),
            (lambda it: frame(HEADERS, b"", END_HEADERS, it), PROTOCOL),
            (
                # Padding counts: of a message nothing is taken beyond its end.
                lambda it: (
                    frame(DATA, b"\xff" + bytes(255), 0x8, it) * (window // 256 + 1)
                ),
                FLOW_CONTROL,
            ),
        ):
            stream = client.head()
            client.send(send(stream))
            (end,) = (it for it in client.received() if it.kind == RST_STREAM)
            assert (end.stream, end.code) == (stream, code)
        await assert_answers(client)

    served(models, run, MAX_BODY_BYTES=2**16)


def test_data_after_the_end_of_a_request(models: Path) -> None:
    async def run(client: Client) -> None:
        stream = client.call(request(ONE))
        client.data(stream, b"more")
        (end,) = (it for it in client.received() if it.kind == RST_STREAM)
        assert (end.stream, end.code) == (stream, CLOSED)
        await assert_answers(client)

    served(models, run)


def test_more_streams_than_allowed(models: Path) -> None:
    async def run(client: Client) -> None:
        for _ in range(128):
            client.head()
        assert client.received() == []
        stream = client.head()
        (end,) = client.received()
        assert (end.stream, end.code) == (stream, REFUSED)

    served(models, run)


def test_heads_are_bounded(models: Path) -> None:
    """By their text, by their packed bytes, and by the frames that they come in."""

    async def run(client: Client) -> None:
        client.head({"large": "x" * 4000}, ended=True)
        ((_, told),) = client.headers(client.received())
        assert told["grpc-status"] == "8"
        assert told["x-error-code"] == "headers_too_large"
        await assert_answers(client)

    async def bomb(client: Client) -> None:
        client.block(client.encoder.encode([("a", "x" * 3000)]), ended=True)
        client.received()
        client.block(b"\xbe" * 100)  # the entry in the table, a hundred times
        assert goaways(client) == [CALM]

    async def long(client: Client) -> None:
        client.send(frame(HEADERS, bytes(4000), 0, 1))
        client.send(frame(CONTINUATION, bytes(4000), 0, 1))
        assert goaways(client) == [CALM]

    async def empty(client: Client) -> None:
        client.send(frame(HEADERS, b"", 0, 1) + frame(CONTINUATION, b"", 0, 1) * 16)
        assert goaways(client) == []
        client.send(frame(CONTINUATION, b"", 0, 1))
        assert goaways(client) == [CALM]

    for case in (run, bomb, long, empty):
        served(models, case, MAX_HEADER_BYTES=4096)


def test_a_head_in_pieces_is_one(models: Path) -> None:
    async def run(client: Client) -> None:
        block = client.encoder.encode(list(CALL.items()))
        client.send(frame(HEADERS, block[:7], 0, 1))
        client.send(frame(CONTINUATION, block[7:9], 0, 1))
        client.send(frame(CONTINUATION, block[9:], END_HEADERS, 1))
        client.next_stream = 3
        client.data(1, message(request(ONE)))
        await settle(client.server)
        assert client.headers(client.received())[-1][1]["grpc-status"] == "0"

    served(models, run)


def test_padding_and_priority_are_passed_over(models: Path) -> None:
    async def run(client: Client) -> None:
        block = client.encoder.encode(list(CALL.items()))
        client.send(frame(HEADERS, b"\3" + bytes(5) + block + bytes(3), 0x2C, 1))
        data = message(request(ONE))
        client.send(frame(DATA, b"\2" + data + bytes(2), 0x8 | END_STREAM, 1))
        await settle(client.server)
        assert client.headers(client.received())[-1][1]["grpc-status"] == "0"

    served(models, run)


@pytest.mark.parametrize(
    "flood",
    [
        lambda client: client.send(frame(RST_STREAM, number(CANCEL), 0, client.head())),
        lambda client: client.send(frame(SETTINGS)),
        lambda client: client.send(frame(PRIORITY, bytes(5), 0, 1)),
        lambda client: client.send(frame(0x77, b"x")),
        lambda client: client.data(1, b"", ended=False),
        lambda client: client.head({":path": None}),
    ],
    ids=["resets", "settings", "priorities", "unknown", "empty", "malformed"],
)
def test_floods_lose_the_connection(
    models: Path, flood: Callable[[Client], None]
) -> None:
    """Some of it passes, as clients give calls up; a thousand at once do not."""

    async def run(client: Client) -> None:
        client.head()
        for _ in range(600):
            flood(client)
        assert goaways(client) == []
        for _ in range(1200):
            flood(client)
        assert goaways(client) == [CALM]
        assert client.transport.is_closing()

    served(models, run)


def test_who_gets_answers_may_give_up_others(models: Path) -> None:
    async def run(client: Client) -> None:
        for _ in range(2500):
            client.call(request([[1.0]]))  # refused at once: a wrong shape
            stream = client.head()
            client.send(frame(RST_STREAM, number(CANCEL), 0, stream))
            client.send(frame(WINDOW_UPDATE, number(300)))
        assert goaways(client) == []

    served(models, run)
