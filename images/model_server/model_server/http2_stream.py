"""One stream of an HTTP/2 connection: what came of it, and what is still to be sent."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from model_server.http2_headers import Head

if TYPE_CHECKING:
    from model_server.http2_sending import Http2Sending


class Stream:
    """Subclasses take what the client sends and answer by the connection."""

    __slots__ = (
        "blocked_since",
        "connection",
        "has_ended",
        "head",
        "identifier",
        "is_answered",
        "pending",
        "receivable",
        "sendable",
        "trailers",
    )

    def __init__(self, connection: Http2Sending, identifier: int, head: Head) -> None:
        self.connection = connection
        self.identifier = identifier
        self.head = head
        self.has_ended = False
        """Whether the client has sent its last byte of it."""
        self.is_answered = False
        """Whether all of the answer has been handed over, if not yet sent."""
        self.receivable = connection.limits.stream_window_bytes
        self.sendable = connection.peer_window_bytes
        self.pending: deque[memoryview] | None = None
        self.trailers = b""
        self.blocked_since = 0.0

    def begin(self) -> None:
        """Take the head; called once, when the connection has the stream."""

    def received(self, data: bytes) -> None:
        """Take a piece of the body, or its end where `has_ended` is set."""

    def ended(self) -> None:
        """Let go of everything: the stream has been sent whole, or it was given up."""

    def check(self, now: float) -> None:
        """End what takes its client too long; called now and then."""
