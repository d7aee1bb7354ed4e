"""Limits of one HTTP/2 connection."""

from __future__ import annotations

from dataclasses import dataclass

from model_server.http2_frames import (
    FIRST_WINDOW_BYTES,
    MAX_FRAME_BYTES,
    MAX_WINDOW_BYTES,
    Setting,
)

CONNECTION_WINDOW_BYTES = 2**24
MAX_CONTINUATIONS = 16
"""Frames in which one head may go on. The length of all is bounded too, but frames of
no length would keep the server busy without an end (CVE-2024-27316)."""


@dataclass(frozen=True)
class Http2Limits:
    """Sizes in bytes, times in seconds."""

    max_body_bytes: int
    max_header_bytes: int
    max_streams: int
    request_timeout_seconds: float
    """For a head, for a body, and for an answer that the client does not take."""
    idle_seconds: float
    least_ping_seconds: float
    ping_seconds: float
    ping_timeout_seconds: float
    settle_seconds: float
    """Time for a client that was asked to leave to acknowledge a ping."""

    @property
    def stream_window_bytes(self) -> int:
        """Return a stream's window in bytes; enough for the largest message."""
        return min(self.max_body_bytes + FIRST_WINDOW_BYTES, MAX_WINDOW_BYTES)

    @property
    def settings(self) -> dict[Setting, int]:
        """Return the settings that the connection announces first."""
        return {
            Setting.MAX_CONCURRENT_STREAMS: self.max_streams,
            Setting.INITIAL_WINDOW_SIZE: self.stream_window_bytes,
            Setting.MAX_FRAME_SIZE: MAX_FRAME_BYTES,
            Setting.MAX_HEADER_LIST_SIZE: self.max_header_bytes,
        }
