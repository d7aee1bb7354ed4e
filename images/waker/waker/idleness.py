"""Detects an idle model by the counters of its own pods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """Values from one pod's /metrics."""

    answered: float
    """Requests answered since the pod started."""
    inflight: float
    """Requests that it works on now."""


class Idleness:
    """Idle time of a model, which only unbroken readings of all pods prove."""

    def __init__(self, after_seconds: float, fresh_seconds: float) -> None:
        """fresh_seconds: how old the last round may be when somebody asks."""
        self._after, self._fresh = after_seconds, fresh_seconds
        self._last = 0.0
        self._since: float | None = None
        self._answered: dict[str, float] = {}

    def observe(self, now: float, pods: Mapping[str, Reading | None]) -> None:
        """Takes one round of readings, by pod; None is a reading that failed."""
        self._last = now
        answered: dict[str, float] = {}
        for pod, reading in pods.items():
            # NaN differs from 0, too.
            if reading is None or reading.inflight != 0:
                self.restart()
                return
            answered[pod] = reading.answered
        if not answered:
            # No pod, no reading: absence is not calm.
            self.restart()
        elif self._since is None or answered != self._answered:
            self._since, self._answered = now, answered

    def restart(self) -> None:
        """Forgets what was seen: somebody called, or it could not be seen."""
        self._since, self._answered = None, {}

    def idle(self, now: float) -> bool:
        """Return whether there was no request for long enough."""
        if self._since is None or now - self._last > self._fresh:
            return False
        # Up to the last round: what came after it nobody has seen.
        return self._last - self._since >= self._after
