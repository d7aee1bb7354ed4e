"""Connections whose answers are one large message, and readers that are slow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from bounded_http.connections import Bounds, protocol
from tests.support.wire import LOOPBACK, Caller, until

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
LARGE = b"x" * (32 << 20)
"""Fits into no buffer of the system."""


async def large(_: Any, __: Any, send: Any) -> None:
    length = (b"content-length", b"%d" % len(LARGE))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": LARGE})


def served(
    bounds: Bounds, talk: Callable[[int, list[int]], Awaitable[None]]
) -> list[int]:
    """Return an item for each connection that was one too many."""
    refused: list[int] = []

    async def run() -> None:
        made = protocol(bounds, lambda: refused.append(1))
        server = uvicorn.Server(
            uvicorn.Config(
                large, host=LOOPBACK, port=0, http=made, log_config=None, lifespan="off"
            )
        )
        work = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        try:
            await talk(server.servers[0].sockets[0].getsockname()[1], refused)
        finally:
            server.should_exit = True
            await work

    asyncio.run(run())
    return refused


@pytest.mark.parametrize("requests", [1, 2], ids=["alone", "pipelined"])
def test_a_slow_reader_has_the_time_of_an_answer(requests: int) -> None:
    async def talk(port: int, _: list[int]) -> None:
        async with Caller(port) as slow:
            slow.say(GET * requests)
            for _ in range(requests):
                await slow.head()
                await asyncio.sleep(0.8)
                assert await slow.body(len(LARGE)) == LARGE
            began = asyncio.get_running_loop().time()
            assert await slow.is_ended()
            # The time for the next head: uvicorn's own is 5 s.
            assert asyncio.get_running_loop().time() - began < 4

    served(Bounds(most=9, head_seconds=0.3, answer_seconds=30.0), talk)


def test_an_answer_that_nobody_takes_is_given_up() -> None:
    async def talk(port: int, _: list[int]) -> None:
        async with Caller(port) as slow:
            slow.say(GET)
            await slow.head()
            await asyncio.sleep(1.5)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await slow.body(len(LARGE))

    served(Bounds(most=9, head_seconds=30.0, answer_seconds=0.5), talk)


def test_who_still_takes_an_answer_makes_no_room() -> None:
    async def talk(port: int, refused: list[int]) -> None:
        async with Caller(port) as slow:
            slow.say(GET)
            await slow.head()
            async with Caller(port) as more:
                await until(lambda: refused)
                assert await more.is_ended()
            assert await slow.body(len(LARGE)) == LARGE
            async with Caller(port) as other:
                other.say(GET)
                assert b" 200 " in await other.head()

    bounds = Bounds(most=1, head_seconds=30.0, makes_room=True)
    assert served(bounds, talk) == [1, 1]
