"""How long a request would wait for a thread, learned from those that had one."""

from __future__ import annotations

import threading
import time

_WEIGHT = 0.1
"""Of the newest request in the mean: some tens of requests and it is another."""


class Line:
    """Those that wait for one of some threads; safe in any thread.

    What it knows comes from Little's law: threads that are all taken serve `threads`
    requests in the mean time of one.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting = 0
        self._mean_seconds = 0.0

    @property
    def wait_seconds(self) -> float:
        """The wait of one who comes now; 0 while nobody else waits."""
        with self._lock:
            return self._waiting * self._mean_seconds / self._threads

    def enter(self) -> float:
        """Count one more who waits; return the moment, for `leave`."""
        with self._lock:
            self._waiting += 1
        return time.monotonic()

    def leave(self, entered_at: float) -> float:
        """Count one less, who has a thread now; return the seconds of the wait."""
        with self._lock:
            self._waiting -= 1
        return time.monotonic() - entered_at

    def learn(self, seconds: float) -> None:
        """Take in for how long a request has had its thread."""
        with self._lock:
            mean = self._mean_seconds or seconds
            self._mean_seconds = mean + _WEIGHT * (seconds - mean)
