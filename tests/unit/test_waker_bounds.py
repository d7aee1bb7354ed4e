"""What callers can make the waker keep: bytes, time and connections have bounds."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Self

import pytest
import uvicorn

from tests.unit.test_waker_proxy import (
    HEAD_BYTES,
    LOOPBACK,
    SCOPE,
    Call,
    Waker,
    until,
)
from toolchain import paths

sys.path.insert(0, str(paths.ROOT / "images" / "waker"))

from waker import connections, proxy
from waker.buffer import Buffer, Held, Refusal
from waker.connections import Bound


class Unfinished(Call):
    """Sends so much, and then says nothing more."""

    async def receive(self) -> Any:
        if self._given < len(self.pieces):
            return {**await super().receive(), "more_body": True}
        await self.leaves.wait()
        return {"type": "http.disconnect"}


def test_unfinished_bodies_count_and_wake_nobody() -> None:
    async def run() -> None:
        waker = Waker(port=1, requests=9, heads=4)
        calls = [Unfinished(pieces=(b"x" * 30,)) for _ in range(4)]
        work = [waker.begin(call) for call in calls]
        await until(lambda: calls[3].sent)
        assert [bool(call.sent) for call in calls] == [False, False, False, True]
        assert calls[3].status == 503
        assert b"bytes" in calls[3].text
        assert (b"connection", b"close") in calls[3].sent[0]["headers"]
        assert waker.kept.buffer.held_bytes == 90 + 3 * HEAD_BYTES
        assert (len(waker.kept.buffer), waker.kept.buffer.waiting) == (3, 0)
        assert waker.hurried.times == 0
        for call in calls:
            call.leaves.set()
        await asyncio.gather(*work)
        assert (len(waker.kept.buffer), waker.kept.buffer.held_bytes) == (0, 0)
        await waker.proxy.close()

    asyncio.run(run())


def test_heads_count_too() -> None:
    """The gateway lets through heads of 60 KiB, and a model may hold many requests."""
    scope = {**SCOPE, "headers": [(b"x-%d" % n, b"a" * 30) for n in range(100)]}
    size = proxy._head_bytes(scope)
    assert 3000 < size - 100 * proxy.HEADER_BYTES < 4000

    async def run() -> None:
        waker, call = Waker(port=1), Call()
        await waker.proxy(waker.kept, scope, call.receive, call.send)
        assert (call.status, dict(waker.kept.counts)) == (503, {"bytes": 1})
        await waker.proxy.close()

    asyncio.run(run())


def test_a_body_that_does_not_come_in_time_is_given_up() -> None:
    async def run() -> None:
        waker, call = Waker(port=1, wake_seconds=0.2), Unfinished(pieces=(b"x",))
        await waker.begin(call)
        assert call.status == 408
        assert b"in full in time" in call.text
        assert dict(waker.kept.counts) == {"body": 1}
        assert len(waker.kept.buffer) == 0
        await waker.proxy.close()

    asyncio.run(run())


def test_the_wake_budget_begins_with_the_whole_request() -> None:
    buffer = Buffer(requests=1, most_bytes=9, wake_seconds=60)
    held = buffer.begin(now=0)
    assert isinstance(held, Held)
    assert buffer.begin(now=0) is Refusal.REQUESTS
    assert buffer.grow(held, 9)
    assert not buffer.grow(held, 1)
    buffer.complete(held, now=50)
    assert (held.until, buffer.waiting, buffer.held_bytes) == (110, 1, 9)


def test_headers_that_the_caller_names_end_here() -> None:
    connection = (b"Connection", b"close, X-Mine")
    headers = [*SCOPE["headers"], connection, (b"x-mine", b"1"), (b"x-other", b"2")]
    made = proxy._request(
        Waker(8080).kept, LOOPBACK, {**SCOPE, "headers": headers}, b""
    )
    assert "x-mine" not in made.headers
    assert made.headers["x-other"] == "2"


async def answers(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers once the body is whole."""
    while (await receive()).get("more_body"):
        pass
    start = {"status": 204, "headers": []}
    await send({"type": "http.response.start", **start})
    await send({"type": "http.response.body", "body": b""})


def served(
    talk: Callable[[int], Coroutine[Any, Any, None]], bound: Bound | None = None
) -> None:
    async def run() -> None:
        config = uvicorn.Config(
            answers,
            http=connections.protocol(bound or Bound(9)),
            host=LOOPBACK,
            port=0,
            lifespan="off",
            log_config=None,
        )
        server = uvicorn.Server(config)
        work = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        try:
            await talk(server.servers[0].sockets[0].getsockname()[1])
        finally:
            server.should_exit = True
            await work

    asyncio.run(run())


HEAD = b"GET / HTTP/1.1\r\nhost: m\r\n"


class Caller:
    """One connection, closed at the end of its block."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self.reader, self._writer = await asyncio.open_connection(LOOPBACK, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    def say(self, text: bytes) -> None:
        self._writer.write(text)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)

    async def is_ended(self) -> bool:
        """Waits for the other side to end it."""
        try:
            return await asyncio.wait_for(self.reader.read(), 5) == b""
        except ConnectionError:
            return True


def test_more_connections_than_the_bound_are_closed() -> None:
    bound = Bound(9)
    bound.most = 2

    async def talk(port: int) -> None:
        async with Caller(port):
            async with Caller(port) as second:
                second.say(HEAD + b"\r\n")
                assert b"204" in await second.head()
                async with Caller(port) as third:
                    assert await third.is_ended()
            await asyncio.sleep(0.1)
            async with Caller(port) as again:
                again.say(HEAD + b"\r\n")
                assert b"204" in await again.head()

    served(talk, bound)
    assert bound.closed == 1


def test_the_bound_has_room_for_all_that_may_be_held() -> None:
    """Else a connection would be closed where a request is to be held, or answered."""
    assert Bound(300).most == 300 + connections.BESIDE


@pytest.mark.parametrize("before", [b"", HEAD + b"\r\n"], ids=["first", "second"])
def test_a_head_that_never_ends_is_given_up(
    monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.4)

    async def talk(port: int) -> None:
        async with Caller(port) as caller:
            if before:
                caller.say(before)
                await caller.head()
            ended = asyncio.create_task(caller.is_ended())
            for byte in HEAD * 9:
                if ended.done():
                    break
                # Each byte would begin the usual time for silence anew.
                caller.say(bytes([byte]))
                await asyncio.sleep(0.05)
            assert await ended

    served(talk)


def test_a_request_that_works_longer_than_a_head_may_take_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)

    async def talk(port: int) -> None:
        async with Caller(port) as caller:
            caller.say(b"POST / HTTP/1.1\r\nhost: m\r\ncontent-length: 2\r\n\r\na")
            await asyncio.sleep(0.8)
            caller.say(b"b")
            assert b"204" in await caller.head()

    served(talk)
