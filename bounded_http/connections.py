"""Limits on the number and the duration of callers' connections.

uvicorn's own bound, limit_concurrency, counts connections that never ask for anything,
and refuses probes as well. Images get this folder beside their own program
(images/images.toml).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""A request's line and headers must have arrived after so long."""


@dataclass(frozen=True)
class Bounds:
    """Limits of one server for its callers; times are in seconds."""

    most: int
    """Connections at the same time."""
    head_seconds: float = HEAD_SECONDS
    """From the start of a connection, or the end of a response, to a request's head."""
    is_for_whole: bool = False
    """Whether this time limit also includes the body."""
    answer_seconds: float | None = None
    """For a request to be answered, and the answer taken; None: any."""
    free_ports: frozenset[int] = frozenset()
    """Ports that are not counted: of probes and metrics, which few can reach."""
    makes_room: bool = False
    """One too many: whether the caller that has asked for longest goes, so that a
    probe on the same port always has a place; else the new one does."""


def protocol(bounds: Bounds, refused: Callable[[], None]) -> Any:
    """Return the protocol factory for uvicorn; `refused` is called for each closed one.

    That is, of those that were one too many.
    """
    return functools.partial(BoundedProtocol, bounds=bounds, refused=refused)


class BoundedProtocol(H11Protocol):
    """One connection."""

    def __init__(
        self, *arguments: Any, bounds: Bounds, refused: Callable[[], None], **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self._bounds, self._refused = bounds, refused
        self._clock: asyncio.TimerHandle | None = None
        self._asks = False
        self._is_taking = False
        self.asks_since = 0.0
        self.is_counted = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.asks_since = self.loop.time()
        port = transport.get_extra_info("sockname")[1]
        self.is_counted = port not in self._bounds.free_ports
        counted = [it for it in self.connections if getattr(it, "is_counted", False)]
        if self.is_counted and len(counted) > self._bounds.most:
            self._refused()
            going = self._longest(counted) if self._bounds.makes_room else self
            going.transport.abort()
            going.is_counted = False
            if going is self:
                return
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        if self._is_taken:
            self._unwatch()
        elif not self._is_taking:
            self._is_taking = True
            # So resume_writing is called when the buffer is empty, not when it is
            # small.
            self.transport.set_write_buffer_limits(high=0)
        super().on_response_complete()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._is_taking and self._is_taken:
            self._is_taking = False
            self.transport.set_write_buffer_limits()
            self._unwatch()
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    @property
    def asks(self) -> bool:
        """Return whether the server waits for the caller."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return self._is_taken
        return self._bounds.is_for_whole and cycle.more_body

    @property
    def _is_taken(self) -> bool:
        """Whether the system has all that was answered: uvicorn does not wait for it.

        To uvicorn an answer is complete as soon as it is in the transport's buffer.
        """
        return not self.transport.get_write_buffer_size()

    def _longest(self, counted: list[Any]) -> BoundedProtocol:
        """Return the connection that has asked for longest, itself if there is none."""
        asking = [it for it in counted if it.asks]
        return min(asking, key=lambda it: it.asks_since, default=self)

    def _watch(self) -> None:
        """Give the time for a request, or for its answer, unless it runs already."""
        asks = self.asks
        if self._clock is not None and asks == self._asks:
            return
        self._unwatch()
        self._asks = asks
        if asks:
            self.asks_since = self.loop.time()
        seconds = self._bounds.head_seconds if asks else self._bounds.answer_seconds
        if seconds is not None:
            self._clock = self.loop.call_later(seconds, self.transport.abort)

    def _unwatch(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
