"""Resource use of this process: CPU share for saturation, values for /metrics."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

from model_server.metrics import Exposition

SMOOTHING = 0.4
_STARTED = time.time()
_PAGE_BYTES = resource.getpagesize()


class Usage:
    """The busy share, smoothed over some seconds; sample it in the event loop.

    One event loop cannot use more than one CPU, so the larger of its own share of one
    CPU and the whole process's share of the CPU limit shows how near the end is.
    """

    def __init__(self, cpu_limit: float) -> None:
        self._limit = max(cpu_limit, 0.01)
        self._share = 0.0
        self._last = self._times()

    def sample(self) -> float:
        """Return the share, 0 to 1, as of now."""
        times = self._times()
        wall, process, thread = (
            now - before for now, before in zip(times, self._last, strict=True)
        )
        if wall > 0:
            share = max(thread / wall, process / (wall * self._limit))
            self._share += SMOOTHING * (min(1.0, share) - self._share)
            self._last = times
        return self._share

    @staticmethod
    def _times() -> tuple[float, float, float]:
        return time.monotonic(), time.process_time(), time.thread_time()


def resident_bytes() -> int:
    """Return the process's resident memory."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * _PAGE_BYTES


def add_process(page: Exposition) -> None:
    """Add the usual process families."""
    times = os.times()
    page.plain(
        "process_cpu_seconds_total",
        "counter",
        "CPU time of the process.",
        times.user + times.system,
    )
    page.plain(
        "process_resident_memory_bytes",
        "gauge",
        "Resident memory.",
        resident_bytes(),
    )
    page.plain("process_start_time_seconds", "gauge", "Start of the process.", _STARTED)
