"""One HTTP connection, byte by byte, for tests of a server's robustness."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self

LOOPBACK = "127.0.0.1"


async def until(holds: Callable[[], object]) -> None:
    """Waits at most 10 s for it."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 10 s")


class Caller:
    """A connection, closed at the end of its block."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(LOOPBACK, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    def say(self, text: bytes) -> None:
        self._writer.write(text)

    async def head(self) -> bytes:
        """The status line and the headers of the next answer."""
        return await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 5)

    async def body(self, size: int) -> bytes:
        """So many bytes after the head; IncompleteReadError if it ends before."""
        return await asyncio.wait_for(self._reader.readexactly(size), 20)

    async def is_ended(self) -> bool:
        """Waits for the other side to end it, whatever it says before; 5 s at most."""
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(self._reader.read(), 5)
        return True
