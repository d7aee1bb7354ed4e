"""Tests that measure run alone, wherever several processes run tests side by side.

A test with the marker `calm` loads the machine or times what it does: nothing may run
beside it. All others run beside each other. Whoever waits to be alone is next: those
who come later wait behind.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Holds the machine, alone or with others, while the block runs.

    The files in `folder` are made where they are missing; a process that ends has left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "door").open("w") as queue, (folder / "room").open("w") as lock:
        fcntl.flock(queue, fcntl.LOCK_EX)
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(queue, fcntl.LOCK_UN)
        yield
