"""The calls under way: which of them the client holds up, and for how long.

gRPC bounds neither how long a client takes to send its one message nor how long it
leaves the answer unread, so a few clients could hold all calls that the server takes
at once. Here each call's task is known from its arrival on, and one that waits for its
client for too long is cancelled.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

Method = Callable[[bytes, Any], Awaitable[bytes]]


class Calls:
    """The tasks of calls, and since when each waits for its client."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting_since: dict[asyncio.Task[Any], float] = {}
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        return len(self._waiting_since)

    def arrived(self) -> None:
        """Note the call whose task this is: its message is still to come."""
        task = asyncio.current_task()
        if task is not None:
            self._waiting_since[task] = self._loop.time()
            task.add_done_callback(self._forget)

    def timed(self, method: Method) -> Method:
        """Return a method whose own time does not count as the client's."""
        waiting = self._waiting_since
        now = self._loop.time

        async def run(message: bytes, context: Any) -> bytes:
            task = asyncio.current_task()
            if task in waiting:
                waiting[task] = math.inf
            try:
                return await method(message, context)
            finally:
                if task in waiting:
                    waiting[task] = now()

        return run

    def check(self, now: float) -> None:
        """Cancel the calls whose clients take too long; call now and then."""
        limit = now - self._seconds
        for task, since in list(self._waiting_since.items()):
            if since < limit:
                task.cancel()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._waiting_since.pop(task, None)
