"""The half of an HTTP/2 connection that sends: windows, frames and what must wait."""

from __future__ import annotations

import asyncio
from collections import deque

from model_server.http2_frames import (
    DATA,
    END_STREAM,
    FIRST_WINDOW_BYTES,
    HEAD,
    MAX_FRAME_BYTES,
    MAX_WINDOW_BYTES,
    Code,
    ConnectionFaultError,
    header_frames,
    rst_stream,
)
from model_server.http2_limits import Http2Limits
from model_server.http2_patience import Patience
from model_server.http2_stream import Stream

EMPTY_TABLE = b"\x20"
"""Says that our table of headers is empty from here on (RFC 7541, section 6.3). None
of our headers enters it, but a client that allows less than the usual must hear so."""


class Http2Sending:
    """Sends answers as far as the client's windows allow; the rest waits in order."""

    def __init__(self, limits: Http2Limits) -> None:
        self.limits = limits
        self.peer_window_bytes = FIRST_WINDOW_BYTES
        self._sendable = FIRST_WINDOW_BYTES
        self._streams: dict[int, Stream] = {}
        self._blocked: dict[int, Stream] = {}
        self._first_of_block = b""
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._patience = Patience(self._loop.time(), limits.least_ping_seconds)

    def send(self, stream: Stream, head: bytes, body: bytes, trailers: bytes) -> None:
        """Send blocks of headers and a body between them; empty ones are left out.

        Without trailers the stream goes on; `end` ends it, or the next `send`.
        """
        identifier = stream.identifier
        if self._first_of_block and (head or trailers):
            first, self._first_of_block = self._first_of_block, b""
            head, trailers = (
                (first + head, trailers) if head else (b"", first + trailers)
            )
        is_last = bool(trailers)
        stream.is_answered = is_last
        size = len(body)
        if (
            stream.pending is None
            and size <= self._sendable
            and size <= stream.sendable
            and size <= MAX_FRAME_BYTES
        ):
            self._sendable -= size
            stream.sendable -= size
            parts = []
            if head:
                is_all = is_last and not body and not trailers
                parts.append(header_frames(identifier, head, END_STREAM * is_all))
            if body:
                parts += (HEAD.pack(size << 8 | DATA, 0, identifier), body)
            if trailers:
                parts.append(header_frames(identifier, trailers, END_STREAM))
            self._transport.write(b"".join(parts))
            if is_last:
                self._finish(stream)
            return
        if head:
            self._transport.write(header_frames(identifier, head, 0))
        if stream.pending is None:
            stream.pending = deque()
        stream.pending.append(memoryview(body))
        stream.trailers = trailers
        self._blocked[identifier] = stream
        self._go_on(stream)

    def reset(self, stream: Stream, code: Code) -> None:
        """End a stream without an answer, or without the rest of one."""
        self._transport.write(rst_stream(stream.identifier, code))
        self._let_go(stream)

    def _finish(self, stream: Stream) -> None:
        """Forget a stream whose answer is sent; what its client still sends is void."""
        if not stream.has_ended:
            self._transport.write(rst_stream(stream.identifier, Code.NO_ERROR))
        self._patience.answered()
        self._let_go(stream)

    def _let_go(self, stream: Stream) -> None:
        self._blocked.pop(stream.identifier, None)
        if self._streams.pop(stream.identifier, None) is not None:
            stream.ended()
            if not self._streams:
                self._emptied()

    def _emptied(self) -> None:
        """Take note that no stream is left."""

    # What the windows of the client hold back

    def _go_on(self, stream: Stream) -> None:
        """Send what the windows allow of a stream that waits."""
        pending = stream.pending
        if pending is None:
            return
        before = self._sendable
        while pending:
            data = pending[0]
            size = min(len(data), self._sendable, stream.sendable, MAX_FRAME_BYTES)
            if size <= 0 < len(data):
                # A client that opens its windows byte by byte is as slow as none.
                has_taken = before - self._sendable >= MAX_FRAME_BYTES
                if has_taken or not stream.blocked_since:
                    stream.blocked_since = self._loop.time()
                return
            if size:
                self._sendable -= size
                stream.sendable -= size
                head = HEAD.pack(size << 8 | DATA, 0, stream.identifier)
                self._transport.write(head + data[:size])
            if size == len(data):
                pending.popleft()
            else:
                pending[0] = data[size:]
        stream.pending = None
        stream.blocked_since = 0.0
        self._blocked.pop(stream.identifier, None)
        if stream.trailers:
            self._transport.write(
                header_frames(stream.identifier, stream.trailers, END_STREAM)
            )
            self._finish(stream)

    def _window_grew(self, identifier: int, size: int) -> None:
        """Take a window update: of the connection if the identifier is 0."""
        if identifier == 0:
            if not size:
                raise ConnectionFaultError(Code.PROTOCOL_ERROR, "a window update of 0")
            self._sendable += size
            if self._sendable > MAX_WINDOW_BYTES:
                raise ConnectionFaultError(Code.FLOW_CONTROL_ERROR, "window too large")
            for stream in list(self._blocked.values()):
                if self._sendable <= 0:
                    break
                self._go_on(stream)
            return
        found = self._streams.get(identifier)
        if found is None:
            return
        found.sendable += size
        if not size:
            self.reset(found, Code.PROTOCOL_ERROR)
        elif found.sendable > MAX_WINDOW_BYTES:
            self.reset(found, Code.FLOW_CONTROL_ERROR)
        else:
            self._go_on(found)

    def _first_window_is(self, size: int) -> None:
        """Take the window that the client gives each stream, open ones too."""
        if size > MAX_WINDOW_BYTES:
            raise ConnectionFaultError(Code.FLOW_CONTROL_ERROR, "window too large")
        more = size - self.peer_window_bytes
        self.peer_window_bytes = size
        for stream in list(self._streams.values()):
            stream.sendable += more
            if stream.sendable > MAX_WINDOW_BYTES:
                raise ConnectionFaultError(Code.FLOW_CONTROL_ERROR, "window too large")
            self._go_on(stream)
