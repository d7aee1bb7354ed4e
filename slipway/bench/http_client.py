"""A keep-alive connection that only posts requests and reads their responses.

Written for load: an httpx client needs 1 ms of CPU time per request, this 0.1.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_NO_BODY = (204, 304)

Answered = Callable[["Connection", int, bytes], None]
"""Called with (connection, status, body)."""
Broken = Callable[["Connection", str], None]
"""Called with (connection, error), with or without a response."""


@dataclass(frozen=True)
class Target:
    """One URL; the n-th request has body `n modulo their number`."""

    url: str
    bodies: tuple[bytes, ...] = (b"",)
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    tls: ssl.SSLContext | None = None
    """For https; the system's authorities by default."""

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{self.url} is not an http or https URL")
        return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def context(self) -> ssl.SSLContext | None:
        if not self.url.startswith("https"):
            return None
        return self.tls or ssl.create_default_context()

    def requests(self) -> tuple[bytes, ...]:
        """Return the requests as bytes, one per body."""
        parts = urlsplit(self.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"host": parts.netloc, "content-type": "application/json"}
        headers |= {name.lower(): value for name, value in self.headers.items()}
        head = f"{self.method} {path} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()
        )
        return tuple(
            f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
            for body in self.bodies
        )


class Connection(asyncio.Protocol):
    """A connection with one request at a time."""

    def __init__(self, answered: Answered, broken: Broken) -> None:
        self._answered, self._broken = answered, broken
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self.busy = False
        """Whether a request is out that has no answer yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self.busy = True
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while self._take_answer():
                pass
        except ValueError:
            self._fail("MalformedAnswer")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(type(exc).__name__ if exc else "ConnectionClosed")

    def _fail(self, reason: str) -> None:
        self.close()
        self._broken(self, reason)

    def _take_answer(self) -> bool:
        """Take one complete response off the buffer; ValueError if it is malformed."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[:end])
        if not head.startswith(b"HTTP/1."):
            raise ValueError(head[:20])
        status = int(head[9:12])
        if status < 200:  # an interim response
            del self._buffer[: end + 4]
            return True
        body = self._body(head, status, end + 4)
        if body is None:
            return False
        if not self.busy:  # a response without a request
            raise ValueError(status)
        if _CLOSE.search(head):
            self.close()
        self.busy = False
        self._answered(self, status, body)
        return bool(self._buffer)

    def _body(self, head: bytes, status: int, start: int) -> bytes | None:
        """Take the head and the body off the buffer; None if it is incomplete."""
        if _CHUNKED.search(head):
            return self._chunks(start)
        found = _LENGTH.search(head)
        if found is None and status not in _NO_BODY:
            raise ValueError("neither length nor chunks")
        end = start + (int(found[1]) if found and status not in _NO_BODY else 0)
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[start:end])
        del self._buffer[:end]
        return body

    def _chunks(self, at: int) -> bytes | None:
        parts = bytearray()
        while True:
            line = self._buffer.find(b"\r\n", at)
            if line < 0:
                return None
            size = int(bytes(self._buffer[at:line]).split(b";")[0], 16)
            at = line + 2 + size + 2
            if len(self._buffer) < at:
                return None
            parts += self._buffer[line + 2 : line + 2 + size]
            if size == 0:
                del self._buffer[:at]
                return bytes(parts)
