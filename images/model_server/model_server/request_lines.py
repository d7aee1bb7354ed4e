"""Lines of the server's own log about requests: a few each second, whatever the load.

They tell an operator what became of one request, by its id; every request stands in the
prediction log. None holds a value of a request or an answer. The event loop only counts
and hands over, so that an output that nobody reads holds no request up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

from model_server.records import Record

logger = logging.getLogger("model_server.requests")

MOST_WAITING = 1000
"""Lines that wait for the thread; more are held back."""
_JOIN_SECONDS = 1.0


class Allowance:
    """Rate limit per second; at most a second's amount at once."""

    def __init__(self, per_second: int, clock: Callable[[], float]) -> None:
        self._per_second, self._clock = per_second, clock
        self._left = float(per_second)
        self._at = clock()
        self.held_back = 0
        """Those that were not allowed since the last that was."""

    def take(self) -> int | None:
        """Return how many were held back before this one; None: this one is too."""
        if self._left < 1:
            now = self._clock()
            gained = (now - self._at) * self._per_second
            if self._left + gained < 1:
                self.held_back += 1
                return None
            self._left = min(self._left + gained, float(self._per_second))
            self._at = now
        self._left -= 1
        held, self.held_back = self.held_back, 0
        return held


class RequestLines:
    """Logs requests within two allowances: of answers, and of errors.

    Else a flood of one would hide the other. `add` is called in the event loop.
    """

    def __init__(
        self, per_second: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._answers = Allowance(per_second, clock)
        self._errors = Allowance(per_second, clock)
        self._waiting: SimpleQueue[tuple[int, dict[str, object]] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def add(self, model: str, revision: str, record: Record) -> None:
        """Log the request, or count it as held back."""
        allowance = self._errors if record.code else self._answers
        held = allowance.take()
        if held is None:
            return
        if self._waiting.qsize() >= MOST_WAITING:
            allowance.held_back += held + 1
            return
        level = logging.WARNING if record.status >= 500 else logging.INFO
        content: dict[str, object] = {
            "request_id": record.request_id,
            "model": model,
            "revision": revision,
            "status": record.status,
            "rows": record.rows,
            "latency_seconds": round(record.latency, 6),
        }
        if record.code:
            content["code"] = record.code
        if held:
            content["held_back"] = held
        if self._thread is None:
            # Not before: threads do not survive a fork.
            self._thread = Thread(target=self._work, name="request-lines", daemon=True)
            self._thread.start()
        self._waiting.put((level, content))

    def close(self) -> None:
        """Write what waits, within a second."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(_JOIN_SECONDS)

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            level, content = item
            message = "request failed" if "code" in content else "request answered"
            logger.log(level, message, extra=content)
