"""The calls whose message is still to come, and since when.

gRPC does not bound how long a client takes to send its one message, so a few clients
could hold all calls that the server takes at once. Here a call is known from its
arrival on, and one that waits for its client for too long is ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

QUIET_SECONDS = 0.2

Method = Callable[[bytes, Any], Awaitable[bytes]]


class Calls:
    """Makes handlers that wait for a message for a limited time only."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting_since: dict[asyncio.Task[Any], float] = {}
        self._expired: set[asyncio.Task[Any]] = set()
        self._begun = 0
        self._loop = asyncio.get_running_loop()

    def handler(self, method: Method) -> Any:
        """Return gRPC's handler of a method of one message and one answer.

        To gRPC it is one of a stream of messages: such a handler is called before the
        first message, and a client cannot tell the difference.
        """

        async def run(_: Any, context: Any) -> bytes:
            try:
                return await method(await self._read(context), context)
            except grpc.aio.InternalError:
                # The client has gone in the midst of it, which is no fault of ours.
                raise asyncio.CancelledError from None

        return grpc.stream_unary_rpc_method_handler(run)

    def check(self, now: float) -> None:
        """End the calls whose clients take too long; call now and then."""
        limit = now - self._seconds
        for task, since in list(self._waiting_since.items()):
            if since < limit:
                self._expired.add(task)
                task.cancel()

    async def are_all_taken(self, seconds: float) -> None:
        """Wait until no call has begun for a moment; at most the seconds."""
        end = self._loop.time() + seconds
        before = -1
        while self._begun != before and self._loop.time() < end:
            before = self._begun
            await asyncio.sleep(min(QUIET_SECONDS, end - self._loop.time()))

    async def _read(self, context: Any) -> bytes:
        task = asyncio.current_task()
        if task is None:
            raise TypeError("a handler runs in a task")
        self._begun += 1
        self._waiting_since[task] = self._loop.time()
        try:
            message = await context.read()
        except asyncio.CancelledError:
            if task not in self._expired:
                raise
            self._expired.discard(task)
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"the message took longer to arrive than {self._seconds:g} s",
                (("x-error-code", "request_timeout"),),
            )
        finally:
            self._waiting_since.pop(task, None)
        if message is grpc.aio.EOF:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                "the call ended before its message",
                (("x-error-code", "bad_request"),),
            )
        data: bytes = message
        return data
