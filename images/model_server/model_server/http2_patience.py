"""Limits on a client's useless frames and pings on an HTTP/2 connection.

Streams opened and reset at once (CVE-2023-44487), settings to acknowledge, frames that
carry nothing: each takes from an allowance that time and answered requests refill. So
a client that gives up some of its calls keeps its connection, and a flood loses it.
"""

from __future__ import annotations

from model_server.http2_frames import Code, ConnectionFaultError

BURST = 1000
PER_SECOND = 33
"""Same as nghttp2's limit for stream resets (its option stream_reset_rate_limit)."""
MAX_PING_STRIKES = 2
"""Same as gRPC's limit (its argument grpc.http2.max_ping_strikes)."""


class Patience:
    """The allowance of one connection; times are seconds of the event loop."""

    __slots__ = ("_last_ping", "_least_ping_seconds", "_left", "_refilled", "_strikes")

    def __init__(self, now: float, least_ping_seconds: float) -> None:
        self._least_ping_seconds = least_ping_seconds
        self._left = float(BURST)
        self._refilled = now
        self._strikes = 0
        self._last_ping = float("-inf")

    def answered(self) -> None:
        """Count one answer. After it a ping is welcome: clients measure by one."""
        self._left += 1.0
        self._strikes = 0
        self._last_ping = float("-inf")

    def spend(self, now: float, what: str) -> None:
        """Take one from the allowance; raise `ConnectionFaultError` if none is left."""
        more = (now - self._refilled) * PER_SECOND
        self._refilled = now
        self._left = min(self._left + more, float(BURST)) - 1.0
        if self._left < 0:
            raise ConnectionFaultError(Code.ENHANCE_YOUR_CALM, f"too many {what}")

    def pinged(self, now: float) -> None:
        """Count a ping; raise if pings come too fast, again and again."""
        is_early = now - self._last_ping < self._least_ping_seconds
        self._last_ping = now
        if not is_early:
            self._strikes = 0
            return
        self._strikes += 1
        if self._strikes > MAX_PING_STRIKES:
            raise ConnectionFaultError(Code.ENHANCE_YOUR_CALM, "too_many_pings")
