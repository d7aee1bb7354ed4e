"""Frames of HTTP/2: their numbers, what we announce, and how those we send are written.

RFC 9113, sections 4, 6 and 7.
"""

from __future__ import annotations

import struct
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = struct.Struct(">IBI")
"""A frame's head: its length in the upper 24 bits and its kind, flags, its stream."""
HEAD_BYTES = HEAD.size
MAX_FRAME_BYTES = 16384
"""The least that RFC 9113 allows, of frames that we take and of those that we send."""
MAX_STREAM_ID = 2**31 - 1
MAX_WINDOW_BYTES = 2**31 - 1
FIRST_WINDOW_BYTES = 65535

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)

ACKNOWLEDGED = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20


class Setting(IntEnum):
    """Settings that either side may announce."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Code(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class ConnectionFaultError(Exception):
    """A peer's protocol violation: its connection ends with the code and the reason."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame whole."""
    return HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def settings(values: dict[Setting, int]) -> bytes:
    """Return the frame that announces settings."""
    pairs = (struct.pack(">HI", *item) for item in values.items())
    return frame(SETTINGS, 0, 0, b"".join(pairs))


def window_update(stream: int, size: int) -> bytes:
    """Return the frame that allows the peer so many bytes more."""
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


def rst_stream(stream: int, code: Code) -> bytes:
    """Return the frame that ends one stream."""
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(last_stream: int, code: Code, reason: str = "") -> bytes:
    """Return the frame that tells the peer to open no more streams."""
    payload = struct.pack(">II", last_stream, code) + reason.encode()
    return frame(GOAWAY, 0, 0, payload)


def header_frames(stream: int, block: bytes, flags: int) -> bytes:
    """Return a block of headers as one frame, or several if it is long."""
    if len(block) <= MAX_FRAME_BYTES:
        return HEAD.pack(len(block) << 8 | HEADERS, flags | END_HEADERS, stream) + block
    pieces = [
        block[start : start + MAX_FRAME_BYTES]
        for start in range(0, len(block), MAX_FRAME_BYTES)
    ]
    frames = [frame(HEADERS, flags, stream, pieces[0])]
    frames += [frame(CONTINUATION, 0, stream, piece) for piece in pieces[1:-1]]
    frames.append(frame(CONTINUATION, END_HEADERS, stream, pieces[-1]))
    return b"".join(frames)


def without_padding(payload: bytes, flags: int) -> bytes:
    """Return a payload without its padding and the priority before a head."""
    start, stop = 0, len(payload)
    if flags & PADDED:
        start = 1
        stop -= payload[0] if payload else 1
    if flags & WITH_PRIORITY:
        start += 5
    if start > stop:
        raise ConnectionFaultError(Code.PROTOCOL_ERROR, "padding beyond the frame")
    return payload[start:stop]
