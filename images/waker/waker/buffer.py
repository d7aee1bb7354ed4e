"""Limits of the requests held for one model: number, bytes and seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Refusal(StrEnum):
    """Why a request is not held; the value labels the metric."""

    REQUESTS = "requests"
    BYTES = "bytes"
    TIME = "time"
    BODY = "body"
    """It did not arrive in full while it was waited for."""


@dataclass(eq=False)
class Held:
    """One request that arrives or waits; two may look the same and are not."""

    taken_bytes: int
    """Bytes that have arrived: its head, and its body so far."""
    until: float
    is_whole: bool = True
    """Whether all of it has arrived: only then it waits for a pod."""


class Buffer:
    """Requests held for one model, never beyond its bounds."""

    def __init__(self, requests: int, most_bytes: int, wake_seconds: float) -> None:
        self._requests, self._bytes, self._seconds = requests, most_bytes, wake_seconds
        self._held: set[Held] = set()
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def waiting(self) -> int:
        """Requests that a pod could be given now."""
        return sum(held.is_whole for held in self._held)

    def begin(self, now: float, head_bytes: int = 0) -> Held | Refusal:
        """Takes a request in whose body is still to arrive, within the wake budget."""
        held = self.hold(now, head_bytes)
        if isinstance(held, Held):
            held.is_whole = False
        return held

    def grow(self, held: Held, body_bytes: int) -> bool:
        """Counts what has arrived; False if the bytes of all are too many then."""
        if self.held_bytes + body_bytes > self._bytes:
            return False
        held.taken_bytes += body_bytes
        self.held_bytes += body_bytes
        return True

    def complete(self, held: Held, now: float) -> None:
        """Mark it as complete: its wake budget begins."""
        held.is_whole, held.until = True, now + self._seconds

    def hold(
        self, now: float, taken_bytes: int, deadline: float = math.inf
    ) -> Held | Refusal:
        """Takes a request in until the wake budget or its own deadline is over."""
        until = min(now + self._seconds, deadline)
        if until <= now:
            return Refusal.TIME
        if len(self._held) >= self._requests:
            return Refusal.REQUESTS
        if self.held_bytes + taken_bytes > self._bytes:
            return Refusal.BYTES
        held = Held(taken_bytes, until)
        self._held.add(held)
        self.held_bytes += taken_bytes
        return held

    def release(self, held: Held) -> None:
        """Lets a request go, forwarded or given up; a second time does nothing."""
        if held in self._held:
            self._held.remove(held)
            self.held_bytes -= held.taken_bytes

    def overdue(self, now: float) -> list[Held]:
        """Those who have waited for as long as they may."""
        return [held for held in self._held if held.until <= now]
