"""Limits the model's speed and time: the job must leave the node to others."""

from __future__ import annotations

import time
from collections.abc import Callable


class OutOfTimeError(Exception):
    """The time for a day of a model is over."""


class Pace:
    """Rows a second on the mean, and a moment at which it ends."""

    def __init__(
        self,
        rows_per_second: float,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rate, self._clock, self._sleep = rows_per_second, clock, sleep
        self._start = clock()
        self._end = self._start + seconds
        self._rows = 0

    def wait(self, rows: int) -> None:
        """Wait until so many more rows may be run; raise OutOfTimeError."""
        ready = self._start + self._rows / self._rate
        now = self._clock()
        if max(ready, now) >= self._end:
            raise OutOfTimeError
        if ready > now:
            self._sleep(ready - now)
        self._rows += rows
