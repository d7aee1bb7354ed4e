"""The waker's state of one model, with its waiting requests."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter

from waker.buffer import Buffer
from waker.cluster import Found
from waker.decision import Seen
from waker.idleness import Idleness
from waker.settings import Model

CALM_SECONDS = 5.0
"""Time between two readings of the pods' counters."""
FORWARDED = 32
"""Requests that are forwarded at once: a pod that has just woken gets them as it can
answer them, and the rest waits here."""


class Kept:
    """One model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.buffer = Buffer(
            model.buffer_requests, model.buffer_bytes, model.wake_seconds
        )
        self.idleness = Idleness(model.after_seconds, fresh_seconds=3 * CALM_SECONDS)
        self.gate = asyncio.Semaphore(FORWARDED)
        self.addresses: list[str] = []
        self.replicas: int | None = None
        self.covered_since: float | None = None
        self.counts: Counter[str] = Counter()
        """Of metrics: requests answered by status, refusals by reason, wakes."""
        self.wake_seconds = 0.0
        self._woken: float | None = None
        self._turns = itertools.count()
        self._changed = asyncio.Event()

    @property
    def asleep(self) -> bool:
        return self.replicas == 0

    def see(self, found: Found, now: float) -> None:
        """Takes the API's state, and notifies waiting requests."""
        self.replicas = found.replicas
        self.addresses = sorted(found.addresses)
        if not found.covered:
            self.covered_since = None
        elif self.covered_since is None:
            self.covered_since = now
        if self.addresses and self._woken is not None:
            self.wake_seconds += now - self._woken
            self.counts["wakes"] += 1
            self._woken = None
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def seen(self, now: float) -> Seen | None:
        """Return the inputs of a decision; None if there is no such Deployment."""
        if self.replicas is None:
            return None
        return Seen(
            replicas=self.replicas,
            ready=len(self.addresses),
            covered_since=self.covered_since,
            waiting=self.buffer.waiting,
            idle=self.idleness.idle(now),
        )

    def woken(self, now: float) -> None:
        """Replicas have been asked for."""
        self._woken = now
        self.idleness.restart()

    async def address(self, until: float) -> str | None:
        """A ready pod's address, each in its turn; None when the time is over."""
        while not self.addresses:
            left = until - time.monotonic()
            if left <= 0:
                return None
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return None
        return self.addresses[next(self._turns) % len(self.addresses)]
