"""Locks between processes: two runs never make the same thing at the same time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain.errors import OperatorError

_POLL_SECONDS = 0.1


@contextmanager
def locked(path: Path, timeout_seconds: float = 1800.0) -> Iterator[None]:
    """Holds the lock file `path`; waits for another process that holds it.

    The kernel releases it however the holder ends. Raises OperatorError naming the
    holder if it goes on for longer than the timeout.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_seconds
    with path.open("a+") as handle:
        while not _try(handle.fileno()):
            if time.monotonic() > deadline:
                handle.seek(0)
                raise OperatorError(
                    f"process {handle.read().strip()} has held {path} for "
                    f"{timeout_seconds:.0f} s; wait for it or end it"
                )
            time.sleep(_POLL_SECONDS)
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
