"""Bounded waits that report what remains."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

POLL_SECONDS = 5.0
SHOWN = 4
"""Names that a line of progress shows."""


@dataclass
class Waiting:
    """How to wait and report; tests pass their own clock."""

    say: Callable[[str], None]
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until_gone(
        self, what: str, remaining: Callable[[], list[str]], seconds: float
    ) -> list[str]:
        """Return the rest of `remaining` when it is empty or the time is over.

        `say` is called each time that the number changes.
        """
        end, before = self.now() + seconds, -1
        while left := remaining():
            if len(left) != before:
                self.say(f"waiting for {len(left)} {what}: {shortened(left)}")
                before = len(left)
            if self.now() >= end:
                self.say(f"after {seconds:.0f} s {len(left)} {what} are left")
                return left
            self.sleep(POLL_SECONDS)
        return []


def shortened(names: list[str]) -> str:
    """The first names, and how many there are beside."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more
