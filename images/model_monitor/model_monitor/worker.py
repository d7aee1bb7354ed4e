"""The thread that does the cycle again and again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from model_monitor.config import Config
from model_monitor.cycle import Cycle, CycleResult, StoppedError
from model_monitor.metrics import CycleState
from model_monitor.receiver.counters import Counters
from model_monitor.store import Store
from model_monitor.store.quarantine import REASON

logger = logging.getLogger("model_monitor.worker")

LOOK_SECONDS = 1.0
"""Between looks for requests, which do not wait for the next cycle's time."""


class Worker:
    """Does passes until it is stopped; a failed one is logged and repeated.

    Whatever the reason: the next pass goes on from the files that are there. A service
    that ended instead would not take in what is sent to it, and would end again after
    each start if the reason lies in one of these files.
    """

    def __init__(
        self, config: Config, store: Store, state: CycleState, counters: Counters
    ) -> None:
        self._config, self._store, self._state = config, store, state
        self._stop = threading.Event()
        self._cycle = Cycle(config, store, self._stop.is_set, counters)

        self._thread = threading.Thread(target=self._run, name="cycle")
        self._when_ended: Callable[[], object] = lambda: None

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self, when_ended: Callable[[], object]) -> None:
        """Begin; `when_ended` is called, in the thread, however it ends."""
        self._when_ended = when_ended
        self._thread.start()

    def stop(self) -> None:
        """End after the step that is being done, and wait for it."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                started = time.monotonic()
                asked = self._waiting_requests()
                self._pass()
                self._rest(started + self._config.cycle_seconds, asked)
        finally:
            self._when_ended()

    def _rest(self, end: float, known: set[str]) -> None:
        """Wait for the end (of the monotonic clock), for a new request, or to stop.

        known: requests that the last pass had before it; one that still waits is not
        tried again before the next.
        """
        while (left := end - time.monotonic()) > 0:
            if self._stop.wait(min(left, LOOK_SECONDS)):
                return
            if self._waiting_requests() - known:
                return

    def _waiting_requests(self) -> set[str]:
        """Return the requests that wait; a folder that cannot be read has none."""
        try:
            return set(self._cycle.waiting())
        except OSError:
            return set()

    def _pass(self) -> None:
        state = self._state
        try:
            result = self._cycle.run()
            quarantined = sum(
                path.name.endswith(REASON) for path in self._store.quarantine.iterdir()
            )
        except StoppedError:
            return
        except Exception:
            state.failures += 1
            logger.exception("the cycle failed", extra={"failures": state.failures})
            return
        state.failures, state.ended = 0, time.time()
        state.duration, state.now = result.seconds, result.now
        state.computed = len(result.computed)
        state.quarantined = quarantined
        self._log_result(result)

    def _log_result(self, result: CycleResult) -> None:
        for model, problems in result.problems.items():
            for problem in problems:
                logger.error(problem, extra={"model": model})
        if result.computed:
            days = sorted({f"{it.model} {it.date}" for it in result.computed})
            extra = {"cohorts": days, "duration_seconds": round(result.seconds, 3)}
            logger.info("counted", extra=extra)
