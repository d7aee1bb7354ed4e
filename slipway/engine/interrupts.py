"""Stops the engine safely when this run is asked to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from slipway.engine import processes
from slipway.progress import say


@dataclass
class Interrupts:
    """Records whether this run was asked to stop."""

    received: bool = False


@contextmanager
def passed_on(console: Console) -> Iterator[Interrupts]:
    """Lets the engine finish what is in flight when this run is asked to stop.

    On a terminal Ctrl-C reaches the engine too, which then stops after the operations
    that run; a second one ends it at once. A signal for this process alone is passed
    on. Only the main thread may handle signals; elsewhere nothing is done.
    """
    state = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield state
        return

    def stop(number: int, _: Any) -> None:
        state.received = True
        say(console, "Stopping after the operations that run now ...")
        if number == signal.SIGTERM or not console.is_terminal:
            for pid in processes.children("pulumi"):
                with contextlib.suppress(ProcessLookupError):
                    processes.interrupt(pid)

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
