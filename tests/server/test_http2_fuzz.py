"""Random bytes and frames on HTTP/2 connections, and heads read again from memory."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hpack import Decoder, Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.conftest import COLUMNS
from tests.support.grpc_calls import request
from tests.support.http2_wire import (
    CALL,
    CONTINUATION,
    END_HEADERS,
    HEADERS,
    Client,
    assert_answers,
    frame,
    grpc_server,
    message,
    settle,
)

SEED = 20261130
CONNECTIONS = 400
FRAMES = 40

names = st.sampled_from([b"a", b"x-request-id", b"te", b"content-type"])
values = st.sampled_from([b"", b"1", b"trailers", b"x" * 70, b"y" * 1500])
heads = st.lists(st.tuples(names, values), max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(heads, st.sampled_from([0, 100, 4096])), max_size=25))
def test_a_head_read_again_is_what_hpack_reads(
    steps: list[list[tuple[bytes, bytes]] | int],
) -> None:
    """The same blocks, in any order and with tables of any size, twice each."""
    from model_server.http2_headers import HeadReader

    encoder, plain, reader = Encoder(), Decoder(), HeadReader(65536)
    for step in steps:
        if isinstance(step, int):
            # The same size again would make hpack's encoder forget to tell it.
            if step != encoder.header_table_size:
                encoder.header_table_size = step
            continue
        for _ in range(2):
            block = encoder.encode(step)
            expected: dict[bytes, bytes] = {}
            for name, value in plain.decode(block, raw=True):
                expected.setdefault(bytes(name), bytes(value))
            assert reader.read(block).fields == expected


def test_random_frames_leave_nothing_behind(models: Path) -> None:
    """Each connection is answered or ended, and the next one is served."""
    source = random.Random(SEED)
    ends = 0

    async def run() -> None:
        nonlocal ends
        server = await grpc_server(models, MAX_BODY_BYTES=4096)
        for _ in range(CONNECTIONS):
            client = Client(server).greet()
            for _ in range(source.randint(1, FRAMES)):
                client.send(noise(source, client))
                if source.random() < 0.1:
                    await asyncio.sleep(0)
            ends += client.transport.is_closing()
            client.connection.check(asyncio.get_running_loop().time() + 11)
            client.connection.abort()
            await settle(server)
            assert server.calls == 0
            assert server.service.buffered_bytes == 0
        assert not server._connections
        assert server.service.inflight == 0
        await assert_answers(Client(server).greet())

    asyncio.run(run())
    assert 0.2 * CONNECTIONS < ends < 0.98 * CONNECTIONS


def noise(  # noqa: PLR0911, one a kind
    source: random.Random, client: Client
) -> bytes:
    """A frame that is right, wrong in one place, or nothing at all."""
    stream = client.next_stream
    match source.randrange(9):
        case 0 | 1:
            client.next_stream += 2
            data = message(request([[0.5] * COLUMNS]))
            block = client.encoder.encode(list(CALL.items()))
            head = frame(HEADERS, block, END_HEADERS, stream)
            return head + frame(0, data, source.randrange(2), stream)
        case 2:
            client.next_stream += 2
            block = client.encoder.encode(list(CALL.items()))
            cut = source.randrange(len(block))
            head = frame(HEADERS, block[:cut], 0, stream)
            return head + frame(CONTINUATION, block[cut:], END_HEADERS, stream)
        case 3:
            broken = bytearray(message(request([[0.5] * COLUMNS])))
            broken[source.randrange(len(broken))] = source.randrange(256)
            flags = source.choice([0, 1, 8])
            return frame(0, bytes(broken), flags, max(1, stream - 2))
        case 4:
            size = source.choice([0, 4, 5, 6, 8, 12])
            kind = source.randrange(11)
            return frame(kind, source.randbytes(size), source.randrange(64), 0)
        case 5:
            kind = source.choice([0, 2, 3, 8])
            size = source.choice([4, 5])
            places = (1, max(1, stream - 2), max(1, stream - 4))
            return frame(kind, source.randbytes(size), 0, source.choice(places))
        case 6 if source.random() < 0.1:
            return source.randbytes(source.randint(1, 60))
        case _:
            return frame(6, bytes(8), 1) + frame(4, b"", 1)


@pytest.mark.parametrize("length", [0, 126, 127, 128, 254, 255, 16_383, 70_000])
def test_literals_are_what_hpack_reads(length: int) -> None:
    from model_server.http2_headers import literal

    pair = (b"n" * (length or 1), b"v" * length)
    found = Decoder(10**6).decode(literal(*pair), raw=True)
    assert [tuple(it) for it in found] == [pair]
