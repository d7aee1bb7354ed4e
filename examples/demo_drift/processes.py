"""Programs that the demo runs beside itself, and that end with it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from toolchain.errors import OperatorError

POLL_SECONDS = 0.05
START_SECONDS = 90.0
STOP_SECONDS = 20.0
TAIL_CHARACTERS = 1500

T = TypeVar("T")


@contextmanager
def running(
    words: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program while the block runs; its output goes to the file `log`.

    It is in a session of its own: Ctrl-C ends the demo, which then ends it.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(words),
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(
    condition: Callable[[], T],
    what: str,
    seconds: float,
    watched: Mapping[str, tuple[subprocess.Popen[bytes], Path]] | None = None,
) -> T:
    """Return what the condition gives once it is true.

    Raises OperatorError after `seconds`, or when one of the watched programs (name,
    with its process and log) has ended.
    """
    end = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        for name, (process, log) in (watched or {}).items():
            if process.poll() is not None:
                raise OperatorError(
                    f"{name} ended with status {process.returncode}: {log_tail(log)}"
                )
        if time.monotonic() > end:
            raise OperatorError(
                f"timed out after {seconds:.0f} s: {what}; run again, and on a busy "
                "machine with a larger --day-seconds"
            )
        time.sleep(POLL_SECONDS)


def log_tail(log: Path) -> str:
    """Return the end of what a program said."""
    return log.read_text(errors="replace")[-TAIL_CHARACTERS:].strip()
