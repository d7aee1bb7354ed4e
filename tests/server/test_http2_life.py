"""Clients of HTTP/2 that are slow, silent or told to leave, and those without room."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.server.conftest import COLUMNS
from tests.support.grpc_calls import answer, request
from tests.support.http2_wire import (
    CONTINUATION,
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
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

CANCEL, CALM = 8, 11
ONE = [[1.0] * COLUMNS]
LARGE_ROWS = 800


def test_an_answer_larger_than_the_windows_waits_for_them(models: Path) -> None:
    async def run(client: Client) -> None:
        client.send(setting(4, 1000))
        client.received()
        stream = client.call(request(ONE * LARGE_ROWS))
        await settle(client.server)
        body = b""
        for _ in range(100):
            found = client.received()
            pieces = [it.payload for it in found if it.kind == DATA]
            assert all(len(it) <= 1000 for it in pieces)
            body += b"".join(pieces)
            if found and found[-1].flags & END_STREAM:
                break
            client.send(frame(WINDOW_UPDATE, number(1000), 0, stream))
            client.send(frame(WINDOW_UPDATE, number(1000)))
        assert len(answer(body[5:]).raw_output_contents[1]) == LARGE_ROWS * 8
        await assert_answers(client)

    served(models, run)


def test_a_client_that_takes_no_answer_loses_its_stream(models: Path) -> None:
    """Its windows open by a byte now and then, which is as slow as not at all."""

    async def run(client: Client) -> None:
        client.send(setting(4, 0))
        stream = client.call(request(ONE))
        await settle(client.server)
        client.received()
        now = asyncio.get_running_loop().time()
        client.send(frame(WINDOW_UPDATE, number(1), 0, stream))
        client.connection.check(now + 9)
        assert [it.kind for it in client.received()] == [DATA]
        client.connection.check(now + 11)
        (end,) = client.received()
        assert (end.kind, end.stream, end.code) == (RST_STREAM, stream, CANCEL)

    served(models, run)


@pytest.mark.parametrize(
    "start",
    [
        b"",
        PREFACE[:9],
        PREFACE,
        PREFACE + frame(SETTINGS) + b"\0\0",
        PREFACE + frame(SETTINGS) + frame(HEADERS, b"", 0, 1),
    ],
    ids=["nothing", "preface", "no settings", "frame", "head"],
)
def test_who_stops_in_the_midst_is_cut_off(models: Path, start: bytes) -> None:
    async def run(_: Client) -> None:
        client = Client(await grpc_server(models))
        client.send(start)
        now = asyncio.get_running_loop().time()
        client.connection.check(now + 9)
        assert not client.transport.is_closing()
        if b"\x01" in start[24:]:  # a head that goes on without an end
            client.send(frame(CONTINUATION, b"", 0, 1))
        client.connection.check(now + 11)
        assert goaways(client) == [CALM]

    served(models, run)


def test_a_client_that_reads_nothing_is_read_no_more(models: Path) -> None:
    async def run(client: Client) -> None:
        now = asyncio.get_running_loop().time()
        client.connection.pause_writing()
        assert not client.transport.reads
        client.connection.resume_writing()
        assert client.transport.reads
        client.connection.pause_writing()
        client.connection.check(now + 9)
        assert not client.transport.is_closing()
        client.connection.check(now + 11)
        assert client.transport.was_aborted

    served(models, run)


def test_silent_clients_are_pinged_and_idle_ones_leave(models: Path) -> None:
    async def run(client: Client) -> None:
        now = asyncio.get_running_loop().time()
        client.connection.check(now + 61)
        (ping,) = client.received()
        assert ping.kind == PING
        client.send(frame(PING, ping.payload, 1))
        client.connection.check(now + 99)
        assert not client.transport.is_closing()
        client.received()
        client.connection.check(now + 121)
        assert client.transport.was_aborted
        idle = Client(client.server).greet()
        idle.connection.check(now + 3701)
        first, ping, *_ = idle.received()
        assert (first.kind, first.code) == (GOAWAY, 0)
        idle.send(frame(PING, ping.payload, 1))
        assert idle.transport.is_closing()

    served(models, run)


def test_who_is_told_to_leave_is_answered_what_he_had_sent(models: Path) -> None:
    async def run(client: Client) -> None:
        client.head()  # its message never comes
        client.connection.leave()
        first, ping = client.received()
        assert (first.kind, first.code) == (GOAWAY, 0)
        assert int.from_bytes(first.payload[:4]) == 2**31 - 1
        await assert_answers(client)  # sent before the client had heard of it
        client.send(frame(PING, ping.payload, 1))
        (last,) = client.received()
        assert (last.kind, int.from_bytes(last.payload[:4])) == (GOAWAY, 3)
        client.call(request(ONE))
        await settle(client.server)
        assert client.received() == []
        assert not client.transport.is_closing()
        client.data(1, message(request(ONE)))
        await settle(client.server)
        assert client.transport.is_closing()

    served(models, run)


def test_a_stop_ends_in_its_time(models: Path) -> None:
    """Who never answers the ping is not waited for; what runs has all the time."""

    async def run(client: Client) -> None:
        loop = asyncio.get_running_loop()
        silent = Client(client.server).greet()
        client.head()
        started = loop.time()
        await client.server.stop(2.6)
        assert 2.5 < loop.time() - started < 4
        assert silent.transport.is_closing()
        assert not silent.transport.was_aborted
        assert client.transport.was_aborted

    served(models, run)


def test_a_client_without_a_table_is_told_that_ours_is_empty(models: Path) -> None:
    async def run(client: Client) -> None:
        client.send(setting(1, 0))
        client.received()
        client.call(request(ONE))
        await settle(client.server)
        first, *others = (it for it in client.received() if it.kind == HEADERS)
        assert first.payload[:1] == b"\x20"
        assert all(it.payload[:1] != b"\x20" for it in others)

    served(models, run)
