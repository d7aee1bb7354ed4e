"""The server's side of an HTTP/2 connection (RFC 9113), in the event loop.

What a request means is its stream's matter. No kept library did this for little CPU
and with gRPC's rules for pings (docs/decisions/0067-http2-frames-of-our-own.md).
"""

from __future__ import annotations

import asyncio

from model_server.http2_frames import (
    FIRST_WINDOW_BYTES,
    MAX_STREAM_ID,
    PING,
    Code,
    ConnectionFaultError,
    frame,
    goaway,
    settings,
    window_update,
)
from model_server.http2_limits import CONNECTION_WINDOW_BYTES, Http2Limits
from model_server.http2_receiving import Http2Receiving, Open

KEEPALIVE = b"keepaliv"
SHUTDOWN = b"shutdown"
"""Payload of our pings: the client's response repeats it."""


class Http2Connection(Http2Receiving, asyncio.Protocol):
    """One client's connection; `opened` makes the stream of each request."""

    def __init__(
        self, limits: Http2Limits, opened: Open, connections: set[Http2Connection]
    ) -> None:
        super().__init__(limits, opened)
        self._connections = connections
        self._rest = b""
        now = self._loop.time()
        self._received_at = now
        self._rest_since = now  # a new connection must say what it is in time
        self._idle_since = now
        self._pinged_at = 0.0
        self._stalled_since = 0.0
        self._closing_since = 0.0
        self._asked_to_leave_at = 0.0

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._connections.add(self)
        more = CONNECTION_WINDOW_BYTES - FIRST_WINDOW_BYTES
        self._transport.write(settings(self.limits.settings) + window_update(0, more))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._connections.discard(self)
        self._end_streams()

    def pause_writing(self) -> None:
        """Read no more, for what is read may have to be answered."""
        self._stalled_since = self._loop.time()
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._stalled_since = 0.0
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        now = self._received_at = self._loop.time()
        self._pinged_at = 0.0
        if self._rest:
            data = self._rest + data
        elif self._block is None:
            self._rest_since = now
        try:
            used = self._read(data)
        except ConnectionFaultError as fault:
            self._fail(fault.code, fault.reason)
            return
        self._rest = data[used:]
        if used and self._block is None:
            self._rest_since = now

    # The end

    def leave(self) -> None:
        """Send GOAWAY: the client opens no more streams, and earlier ones are answered.

        There are two frames: once the client has answered a ping between them, all that
        it sent before the first has arrived (RFC 9113, section 6.8).
        """
        if not (self._asked_to_leave_at or self._is_closing):
            self._asked_to_leave_at = self._loop.time()
            first = goaway(MAX_STREAM_ID, Code.NO_ERROR)
            self._transport.write(first + frame(PING, 0, 0, SHUTDOWN))

    def abort(self) -> None:
        """Cut the connection off."""
        self._end_streams()
        self._transport.abort()

    def _acknowledged(self, payload: bytes) -> None:
        if payload == SHUTDOWN and self._asked_to_leave_at:
            self._take_no_more()

    def _take_no_more(self) -> None:
        if not self._is_leaving:
            self._is_leaving = True
            self._transport.write(goaway(self._last_stream, Code.NO_ERROR))
            if not self._streams:
                self._emptied()

    def _emptied(self) -> None:
        self._idle_since = self._loop.time()
        if self._is_leaving and not self._is_closing:
            self._is_closing = True
            self._transport.close()

    def _fail(self, code: Code, reason: str) -> None:
        if not self._is_closing:
            self._transport.write(goaway(self._last_stream, code, reason))
            self._end_streams()
            self._transport.close()

    def _end_streams(self) -> None:
        self._is_closing = True
        for stream in list(self._streams.values()):
            self._let_go(stream)

    # What takes too long

    def check(self, now: float) -> None:
        """End what takes its client too long; call now and then."""
        limits = self.limits
        seconds = limits.request_timeout_seconds
        if self._transport.is_closing():
            # The client does not read, so what is left to write stays.
            self._closing_since = self._closing_since or now
            if now - self._closing_since > seconds:
                self._transport.abort()
            return
        if self._stalled_since:
            if now - self._stalled_since > seconds:
                self.abort()
            return
        is_in_midst = self._rest or self._block is not None or not self._has_settings
        if is_in_midst and now - self._rest_since > seconds:
            self._fail(Code.ENHANCE_YOUR_CALM, f"a frame took more than {seconds:g} s")
            return
        for stream in list(self._streams.values()):
            if stream.blocked_since and now - stream.blocked_since > seconds:
                self.reset(stream, Code.CANCEL)
            elif not stream.is_answered:
                stream.check(now)
        self._check_life(now)

    def _check_life(self, now: float) -> None:
        """Ping a silent client; close it if it is idle or was asked to leave."""
        limits = self.limits
        if self._asked_to_leave_at:
            if now - self._asked_to_leave_at > limits.settle_seconds:
                self._take_no_more()
        elif not self._streams and now - self._idle_since > limits.idle_seconds:
            self.leave()
        if self._pinged_at:
            if now - self._pinged_at > limits.ping_timeout_seconds:
                self.abort()
        elif now - self._received_at > limits.ping_seconds:
            self._pinged_at = now
            self._transport.write(frame(PING, 0, 0, KEEPALIVE))
