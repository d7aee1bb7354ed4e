"""gRPC calls frame by frame: their heads, their messages, whole and broken."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from tests.server.conftest import COLUMNS
from tests.support.grpc_calls import request
from tests.support.http2_wire import (
    Client,
    assert_answers,
    message,
    served,
    settle,
)

ONE = [[1.0] * COLUMNS]


@pytest.mark.parametrize(
    ("others", "status"),
    [({":method": "GET"}, "405"), ({"content-type": "text/plain"}, "415")],
)
def test_what_is_no_call(
    models: Path, others: dict[str, str | None], status: str
) -> None:
    async def run(client: Client) -> None:
        client.head(others, ended=True)
        ((_, told),) = client.headers(client.received())
        assert told[":status"] == status

    served(models, run)


@pytest.mark.parametrize(
    ("data", "others", "status"),
    [
        (message(request(ONE)), {"grpc-timeout": "soon"}, "3"),
        (message(request(ONE)), {"grpc-timeout": "10S"}, "0"),
        (message(request(ONE), compressed=True), {}, "12"),
        (message(request(ONE), compressed=True), {"grpc-encoding": "snappy"}, "12"),
        (message(request(ONE), compressed=True), {"grpc-encoding": "gzip"}, "3"),
        (b"\7" + message(request(ONE))[1:], {"grpc-encoding": "gzip"}, "12"),
        (
            message(zlib.compress(request(ONE)), compressed=True),
            {"grpc-encoding": "deflate"},
            "0",
        ),
        (
            message(zlib.compress(request(ONE))[:-3], compressed=True),
            {"grpc-encoding": "deflate"},
            "3",
        ),
        (b"", {}, "3"),
        (b"\0\0", {}, "3"),
        (message(request(ONE))[:-1], {}, "3"),
        (message(request(ONE)) * 3, {}, "0"),
        (b"\0\xff\xff\xff\xff", {}, "8"),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_messages(
    models: Path, data: bytes, others: dict[str, str], status: str, piece: int
) -> None:
    """Whole or in pieces, compressed or broken: each ends with its status."""

    async def run(client: Client) -> None:
        stream = client.head(others)
        for place in range(0, len(data), piece):
            client.data(stream, data[place : place + piece], ended=False)
        client.data(stream, b"")
        await settle(client.server)
        told = dict(client.headers(client.received()))[stream]
        assert told["grpc-status"] == status, told
        await assert_answers(client)

    served(models, run)


def test_messages_being_received_are_bounded_together(models: Path) -> None:
    async def run(client: Client) -> None:
        for _ in range(3):
            client.data(client.head(), message(bytes(40_000))[:16_384], ended=False)
        ((_, told),) = client.headers(client.received())
        assert told["grpc-status"] == "8"
        assert told["x-error-code"] == "overloaded"
        assert int(told["grpc-retry-pushback-ms"]) >= 1000

    served(models, run, MAX_BODY_BYTES=40_000, MAX_BUFFERED_BYTES=40_000)


def test_a_fault_of_ours_is_an_answer_too(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model_server import grpc_codec

    def broken(*_: object, **__: object) -> bytes:
        raise KeyError("no")

    async def run(client: Client) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(grpc_codec, "write", broken)
            client.call(request(ONE))
            await settle(client.server)
            ((_, told),) = client.headers(client.received())
            assert told["grpc-status"] == "13"
            assert told["x-error-code"] == "internal"
        await assert_answers(client)

    served(models, run)
