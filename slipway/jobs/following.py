"""Follows a run: its workers' logs as they are written, its state as it changes."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from threading import Thread

from components.training.job_fields import SIDECAR
from slipway.cluster.kube_api import KubeApiError, Object
from slipway.jobs import state
from slipway.jobs.runs import Runs
from slipway.jobs.state import State
from slipway.logs.line import Line
from slipway.logs.places import Place
from slipway.logs.reading import Span, follow

POLL_SECONDS = 1.0
SILENCE_SECONDS = 60.0
"""An API server that does not answer for so long ends the following, not the run."""
REST_SECONDS = 10.0
"""Seconds to wait for the logs' next line once the run has ended."""
MOST_WORKERS = 16
"""Workers whose logs are followed: those of the lowest indexes."""
Event = Line | State | KubeApiError


class Following:
    """One run; iterating gives what happens, and ends when the run has ended."""

    def __init__(self, runs: Runs, run: str) -> None:
        self._runs, self._run = runs, run
        self._arrived: queue.Queue[Line | KubeApiError] = queue.Queue(1000)
        self._threads: dict[tuple[str, str], Thread] = {}
        self._heard = time.monotonic()
        self.end: State | None = None
        """The last state, once the run has ended."""

    def __iter__(self) -> Iterator[Event]:
        reported = ""
        while self.end is None:
            found = self._look()
            if found and found.text != reported:
                reported = found.text
                yield found
            yield from self._lines(POLL_SECONDS)
        yield from self._rest()

    def _look(self) -> State | None:
        """The state now; None if the API server does not answer for a moment."""
        try:
            run, pods = self._runs.get(self._run), self._runs.pods(self._run)
        except KubeApiError:
            if time.monotonic() - self._heard > SILENCE_SECONDS:
                raise
            return None
        self._heard = time.monotonic()
        self._follow(pods)
        found = state.of(run, pods)
        if found.exit_status is not None:
            self.end = found
        return found

    def _follow(self, pods: list[Object]) -> None:
        """Begins to read what has begun to write."""
        for pod in pods:
            labels, name = pod["metadata"].get("labels", {}), pod["metadata"]["name"]
            if int(labels.get(state.INDEX) or 0) >= MOST_WORKERS:
                continue
            for one in state.statuses(pod):
                key = name, one["name"]
                begun = {"running", "terminated"} & set(one.get("state", {}))
                if begun and one["name"] != SIDECAR and key not in self._threads:
                    self._threads[key] = self._read(name, one["name"])

    def _read(self, pod: str, container: str) -> Thread:
        place = Place("worker", self._runs.namespace, pod, container, False)

        def pass_on() -> None:
            for line in follow(self._runs.api, [place], Span()):
                self._arrived.put(line)

        thread = Thread(target=pass_on, daemon=True)
        thread.start()
        return thread

    def _lines(self, seconds: float) -> Iterator[Line | KubeApiError]:
        """Yield the lines that arrive within the time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                yield self._arrived.get(timeout=left)
            except queue.Empty:
                return

    def _rest(self) -> Iterator[Line | KubeApiError]:
        """Yield the lines still in transit when the run has ended."""
        heard = time.monotonic()
        while (left := self._unread()) or not self._arrived.empty():
            for one in self._lines(0.1):
                yield one
                heard = time.monotonic()
            if left and time.monotonic() - heard > REST_SECONDS:
                yield KubeApiError(
                    f"nothing came for {REST_SECONDS:.0f} s, so the last lines may be "
                    f"missing of: {', '.join(left)}"
                )
                return

    def _unread(self) -> list[str]:
        """Pods and containers whose logs have not come to their end."""
        reading = self._threads.items()
        return ["/".join(key) for key, thread in reading if thread.is_alive()]
