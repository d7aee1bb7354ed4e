"""The waker forwards a request's target as it came, or refuses it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import uvicorn

from tests.unit.test_waker_proxy import LOOPBACK, Waker, port, until

__all__ = ["port"]  # a fixture

TARGETS = [
    ("POST", b"/infer"),
    ("POST", b"/a/../b/./c//d"),
    ("POST", b"/%2e%2e/%2F?x=%20&y=a?b"),
    ("POST", b"//models.example/infer"),
    ("POST", b"http://models.example:8080/infer?a=b"),
    ("OPTIONS", b"*"),
]
NONE = [
    ("POST", b"*"),
    ("POST", b"infer"),
    ("CONNECT", b"models.example:443"),
    ("POST", b"ftp://models.example/"),
    ("POST", b"?a=b"),
]


class Served:
    """The waker's application behind uvicorn, as __main__ runs it."""

    def __init__(self, waker: Waker) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await waker.proxy(waker.kept, scope, receive, send)

        config = uvicorn.Config(app, http="h11", log_config=None, lifespan="off")
        self.server = uvicorn.Server(config)
        self.listener = socket.socket()
        self.listener.bind((LOOPBACK, 0))
        self.listener.listen()

    async def exchange(self, method: str, target: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self.listener.getsockname())
        writer.write(
            method.encode() + b" " + target + b" HTTP/1.1\r\nhost: models.example\r\n"
            b"x-of-caller: kept\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi"
        )
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return answer


def test_targets_are_forwarded_as_they_came_or_refused(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        waker = Waker(port)
        waker.ready(LOOPBACK)
        served = Served(waker)
        work = asyncio.create_task(served.server.serve([served.listener]))
        await until(lambda: served.server.started)
        for method, target in TARGETS:
            answer = await served.exchange(method, target)
            assert b" 418 " in answer.splitlines()[0], target
            assert answer.endswith(target + b" kept models.example hi")
        for method, target in NONE:
            answer = await served.exchange(method, target)
            assert b" 400 " in answer.splitlines()[0], target
        assert waker.kept.counts["400"] == len(NONE)
        served.server.should_exit = True
        await work
        await waker.proxy.close()

    asyncio.run(run())
    assert not caplog.records
