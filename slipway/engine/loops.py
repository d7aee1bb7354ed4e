"""Event loops of programs, closed where Pulumi leaves them open.

Its language server closes a program's loop, but not after a failure in which a task
that it cancels ends with another error (pulumi/automation/_server.py, 3.259.0).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from stacks import layers

PATIENCE_SECONDS = 5.0


@dataclass
class Loops:
    """The event loops of the programs that ran."""

    _found: list[asyncio.AbstractEventLoop] = field(default_factory=list)

    def watched(self, program: layers.Program) -> layers.Program:
        """Wrap the program so that its loop is recorded."""

        def run() -> None:
            self._found.append(asyncio.get_running_loop())
            program()

        return run

    def close(self) -> None:
        """Closes those that are still open; waits a little for those that still run.

        The engine may end first: the program then notices that and stops.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._running() and time.monotonic() < deadline:
            time.sleep(0.02)
        for loop in self._found:
            if not loop.is_running():
                loop.close()  # of a closed one: nothing
        self._found = self._running()

    def _running(self) -> list[asyncio.AbstractEventLoop]:
        return [loop for loop in self._found if loop.is_running()]
