"""The drain as one byte that a process shares with the workers it forks."""

from __future__ import annotations

import mmap

TAKING = 0
DRAINING = 1
"""SIGTERM has come; the process is still ready, load balancers are learning."""
CLOSING = 2
"""The process is not ready any more and finishes what is in flight."""

LOG_FLUSH_SECONDS = 2.0
"""The longest time to write out the prediction log, after all is answered."""


class Drain:
    """Written by the process that gets SIGTERM, read by its workers."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    @property
    def state(self) -> int:
        return self._memory[0]

    @state.setter
    def state(self, state: int) -> None:
        self._memory[0] = state
