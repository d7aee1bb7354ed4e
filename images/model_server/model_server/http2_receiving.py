"""The half of an HTTP/2 connection that receives: frames, heads, settings and windows.

What a client can make it keep or do is bounded here (RFC 9113, section 10.5).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from model_server.http2_frames import (
    ACKNOWLEDGED,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD,
    HEAD_BYTES,
    HEADERS,
    MAX_FRAME_BYTES,
    MAX_STREAM_ID,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Code,
    ConnectionFaultError,
    Setting,
    frame,
    window_update,
    without_padding,
)
from model_server.http2_headers import Head, HeadReader
from model_server.http2_limits import (
    CONNECTION_WINDOW_BYTES,
    MAX_CONTINUATIONS,
    Http2Limits,
)
from model_server.http2_sending import EMPTY_TABLE, Http2Sending
from model_server.http2_stream import Stream

TABLE_BYTES = 4096
"""The usual table of headers, which a client may make smaller."""
_FIXED_SIZES = {RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4, PRIORITY: 5}

Open = Callable[["Http2Receiving", int, Head], Stream]


class Http2Receiving(Http2Sending):
    """Takes frames in order; raises `ConnectionFaultError` at what must not be."""

    def __init__(self, limits: Http2Limits, opened: Open) -> None:
        super().__init__(limits)
        self._opened = opened
        self._heads = HeadReader(limits.max_header_bytes)
        self._has_preface = False
        self._has_settings = False
        self._last_stream = 0
        self._receivable = CONNECTION_WINDOW_BYTES
        self._block: bytearray | None = None
        self._block_stream = self._block_flags = self._continuations = 0
        self._is_leaving = False
        self._is_closing = False

    def _acknowledged(self, payload: bytes) -> None:
        """Take the client's answer to a ping of ours."""

    def _read(self, data: bytes) -> int:
        """Take all whole frames; return how much of the data they are."""
        offset, end = 0, len(data)
        if not self._has_preface:
            size = len(PREFACE)
            if data[:size] != PREFACE[:end]:
                raise ConnectionFaultError(Code.PROTOCOL_ERROR, "this is not HTTP/2")
            if end < size:
                return 0
            offset = size
            self._has_preface = True
        unpack = HEAD.unpack_from
        while end - offset >= HEAD_BYTES and not self._is_closing:
            word, flags, identifier = unpack(data, offset)
            size = word >> 8
            if size > MAX_FRAME_BYTES:
                raise ConnectionFaultError(Code.FRAME_SIZE_ERROR, "frame too large")
            start = offset + HEAD_BYTES
            stop = start + size
            if stop > end:
                break
            self._take(word & 0xFF, flags, identifier & MAX_STREAM_ID, data[start:stop])
            offset = stop
        return offset

    # Frames

    def _take(self, kind: int, flags: int, identifier: int, payload: bytes) -> None:
        if self._block is not None and (
            kind != CONTINUATION or identifier != self._block_stream
        ):
            raise ConnectionFaultError(Code.PROTOCOL_ERROR, "a head is cut off")
        if not self._has_settings and kind != SETTINGS:
            raise ConnectionFaultError(Code.PROTOCOL_ERROR, "settings come first")
        if kind == DATA:
            self._take_data(flags, identifier, payload)
        elif kind == HEADERS:
            if flags & (PADDED | WITH_PRIORITY):
                payload = without_padding(payload, flags)
            if flags & END_HEADERS:
                self._take_head(flags, identifier, payload)
            else:
                self._block = bytearray(payload)
                self._block_stream, self._block_flags = identifier, flags
                self._continuations = 0
                self._check_block()
        elif kind == CONTINUATION:
            self._take_continuation(flags, payload)
        else:
            size = _FIXED_SIZES.get(kind)
            if size is not None and len(payload) != size:
                raise ConnectionFaultError(Code.FRAME_SIZE_ERROR, "not of its size")
            self._take_other(kind, flags, identifier, payload)

    def _take_other(
        self, kind: int, flags: int, identifier: int, payload: bytes
    ) -> None:
        if (kind in {SETTINGS, PING, GOAWAY} and identifier) or (
            kind in {RST_STREAM, PRIORITY} and not identifier
        ):
            raise ConnectionFaultError(Code.PROTOCOL_ERROR, "of the wrong stream")
        if kind == WINDOW_UPDATE:
            self._check_begun(identifier)
            size = int.from_bytes(payload) & MAX_STREAM_ID
            self._window_grew(identifier, size)
        elif kind == PING:
            self._take_ping(flags, payload)
        elif kind == SETTINGS:
            self._take_settings(flags, payload)
        elif kind == RST_STREAM:
            self._check_begun(identifier)
            self._spend("streams reset")
            stream = self._streams.get(identifier)
            if stream is not None:
                self._let_go(stream)
        elif kind == PUSH_PROMISE:
            raise ConnectionFaultError(Code.PROTOCOL_ERROR, "a client pushes nothing")
        elif kind != GOAWAY:  # after that a client still gets its answers
            self._spend("frames without a meaning")

    def _take_data(self, flags: int, identifier: int, payload: bytes) -> None:
        size = len(payload)
        self._receivable -= size
        if self._receivable < 0:
            raise ConnectionFaultError(Code.FLOW_CONTROL_ERROR, "beyond the window")
        if self._receivable < CONNECTION_WINDOW_BYTES // 2:
            more = CONNECTION_WINDOW_BYTES - self._receivable
            self._receivable += more
            self._transport.write(window_update(0, more))
        stream = self._streams.get(identifier)
        if stream is None:
            if not identifier:
                raise ConnectionFaultError(Code.PROTOCOL_ERROR, "data of no stream")
            self._check_begun(identifier)
            return  # it was on its way when the stream ended
        if stream.has_ended:
            self.reset(stream, Code.STREAM_CLOSED)
            return
        stream.receivable -= size
        if stream.receivable < 0:
            self.reset(stream, Code.FLOW_CONTROL_ERROR)
            return
        if flags & PADDED:
            payload = without_padding(payload, PADDED)
        if flags & END_STREAM:
            stream.has_ended = True
        elif not payload:
            self._spend("empty frames")
            return
        stream.received(payload)

    def _take_continuation(self, flags: int, payload: bytes) -> None:
        block = self._block
        if block is None:
            raise ConnectionFaultError(Code.PROTOCOL_ERROR, "no head goes on")
        self._continuations += 1
        block += payload
        self._check_block()
        if flags & END_HEADERS:
            self._block = None
            self._take_head(self._block_flags, self._block_stream, bytes(block))

    def _check_block(self) -> None:
        size = len(self._block or b"")
        if (
            size > self.limits.max_header_bytes
            or self._continuations > MAX_CONTINUATIONS
        ):
            raise ConnectionFaultError(
                Code.ENHANCE_YOUR_CALM,
                f"headers of more than {self.limits.max_header_bytes} bytes",
            )

    def _take_head(self, flags: int, identifier: int, block: bytes) -> None:
        if not identifier & 1:
            raise ConnectionFaultError(Code.PROTOCOL_ERROR, "not a client's stream")
        head = self._heads.read(block)  # in any case: what follows builds on it
        if identifier <= self._last_stream:
            self._take_trailers(flags, identifier)
            return
        if self._is_leaving:
            return  # GOAWAY says that we have not begun it
        self._last_stream = identifier
        stream = self._opened(self, identifier, head)
        self._streams[identifier] = stream
        stream.has_ended = bool(flags & END_STREAM)
        if head.problem:
            self._spend("malformed requests")
            self.reset(stream, Code.PROTOCOL_ERROR)
        elif len(self._streams) > self.limits.max_streams:
            self._spend("streams at a time")
            self.reset(stream, Code.REFUSED_STREAM)
        else:
            stream.begin()
            if stream.has_ended and identifier in self._streams:
                stream.received(b"")

    def _take_trailers(self, flags: int, identifier: int) -> None:
        """Take headers that end a request: gRPC's clients have nothing to say there."""
        self._spend("headers of ended streams")
        stream = self._streams.get(identifier)
        if stream is None:
            return
        if stream.has_ended or not flags & END_STREAM:
            self.reset(stream, Code.PROTOCOL_ERROR)
            return
        stream.has_ended = True
        stream.received(b"")

    def _take_settings(self, flags: int, payload: bytes) -> None:
        if flags & ACKNOWLEDGED:
            if payload:
                raise ConnectionFaultError(Code.FRAME_SIZE_ERROR, "not of its size")
            return
        if len(payload) % 6:
            raise ConnectionFaultError(Code.FRAME_SIZE_ERROR, "not of its size")
        self._has_settings = True
        self._spend("settings")
        for name, value in struct.iter_unpack(">HI", payload):
            if name == Setting.INITIAL_WINDOW_SIZE:
                self._first_window_is(value)
            elif name == Setting.HEADER_TABLE_SIZE:
                if value < TABLE_BYTES:
                    self._first_of_block = EMPTY_TABLE
            elif (name == Setting.ENABLE_PUSH and value > 1) or (
                name == Setting.MAX_FRAME_SIZE and not MAX_FRAME_BYTES <= value < 2**24
            ):
                raise ConnectionFaultError(Code.PROTOCOL_ERROR, "no such setting")
        self._transport.write(frame(SETTINGS, ACKNOWLEDGED, 0))

    def _take_ping(self, flags: int, payload: bytes) -> None:
        if flags & ACKNOWLEDGED:
            self._acknowledged(payload)
            return
        self._patience.pinged(self._loop.time())
        self._transport.write(frame(PING, ACKNOWLEDGED, 0, payload))

    def _check_begun(self, identifier: int) -> None:
        if identifier > self._last_stream and not self._is_leaving:
            raise ConnectionFaultError(Code.PROTOCOL_ERROR, "a stream not yet begun")

    def _spend(self, what: str) -> None:
        self._patience.spend(self._loop.time(), what)
