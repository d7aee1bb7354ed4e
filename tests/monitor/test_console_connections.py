"""What readers can make the console keep: connections, and for how long.

Probes are answered whatever readers do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from model_console import connections, server, settings
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.wire import LOOPBACK, Caller, until

GET = b"GET %s HTTP/1.1\r\nhost: c\r\n"
LARGE = b"x" * (32 << 20)
Talk = Callable[[int, int], Awaitable[None]]
Ends = Callable[[Caller], Awaitable[bool]]


async def large(_: Scope, __: Receive, send: Send) -> None:
    """A page that fits into no buffer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": LARGE, "more_body": True})
    await send({"type": "http.response.body", "body": b"x"})


def served(talk: Talk, pages: ASGIApp | None = None) -> None:
    """Both ports of a console, whose sources are not asked."""

    async def run() -> None:
        variables = {
            "MODEL_CONSOLE_MONITOR_URL": "http://127.0.0.1:1",
            "MODEL_CONSOLE_HOST": LOOPBACK,
            "MODEL_CONSOLE_PORT": "0",
            "MODEL_CONSOLE_METRICS_PORT": "0",
        }
        chosen, registry = settings.read(variables), CollectorRegistry()
        sources = server.sources_of(chosen, registry)
        made = pages or server.application(sources, registry)
        with (
            server._listener(chosen, "PORT") as first,
            server._listener(chosen, "METRICS_PORT") as second,
        ):
            ports = first.getsockname()[1], second.getsockname()[1]
            apps = {ports[0]: made, ports[1]: server.probes(registry)}
            running = server.Server(server._config(apps, ports[1]))
            work = asyncio.create_task(running.serve([first, second]))
            await until(lambda: running.started)
            try:
                await talk(*ports)
            finally:
                running.should_exit = True
                await work
                await sources.close()

    asyncio.run(run())


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that has an item for each connection that was one too many."""
    found: list[int] = []
    monkeypatch.setattr(connections, "_refused", lambda: found.append(1))
    return found


async def is_answered(port: int, path: bytes) -> bool:
    async with Caller(port) as caller:
        caller.say(GET % path + b"\r\n")
        return b" 200 " in await caller.head()


def test_idle_connections_never_keep_a_probe_or_a_reader_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.0)
    refused = counted(monkeypatch)

    async def talk(pages: int, probes: int) -> None:
        async with AsyncExitStack() as stack:
            idle = [
                await stack.enter_async_context(Caller(pages))
                for _ in range(connections.MOST)
            ]
            assert not refused
            async with Caller(pages) as more:
                assert await more.is_ended()
            assert refused
            for path in (b"/healthz", b"/readyz", b"/metrics"):
                assert await is_answered(probes, path)
            assert all([await it.is_ended() for it in idle])
            assert await is_answered(pages, b"/static/icon.svg")

    served(talk)


@pytest.mark.parametrize(
    "before", [b"", GET % b"/static/icon.svg" + b"\r\n"], ids=["first", "second"]
)
def test_a_head_that_never_ends_is_given_up(
    monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.4)

    async def talk(pages: int, _: int) -> None:
        async with Caller(pages) as caller:
            if before:
                caller.say(before)
                await caller.head()
            ended = asyncio.create_task(caller.is_ended())
            for byte in GET * 9:
                if ended.done():
                    break
                # Each byte would begin the usual time for silence anew.
                caller.say(bytes([byte]))
                await asyncio.sleep(0.05)
            assert await ended

    served(talk)


def test_a_page_that_nobody_takes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 3.0)
    monkeypatch.setattr(connections, "MOST", 1)
    refused = counted(monkeypatch)

    async def talk(pages: int, probes: int) -> None:
        async with Caller(pages) as caller:
            caller.say(GET % b"/" + b"\r\n")
            assert b" 200 " in await caller.head()
            await asyncio.sleep(0.3)
            async with Caller(pages) as more:
                # Longer than a head may take: it is still held.
                more.say(GET % b"/" + b"\r\n")
                assert await more.is_ended()
            assert len(refused) == 1
            assert await is_answered(probes, b"/healthz")
            await asyncio.sleep(3.0)
            async with Caller(pages) as again:
                again.say(GET % b"/" + b"\r\n")
                assert b" 200 " in await again.head()

    served(talk, large)
