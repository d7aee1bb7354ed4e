"""Runs the machine's own programs and turns their failures into readable errors."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain.errors import OperatorError

LAST_LINES = 20


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> str:
    """Runs a program to its end and returns what it printed on standard output.

    Raises OperatorError with the command and its last lines if it fails or takes too
    long.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise OperatorError(
            f"{words[0]} is not on PATH; `python -m lab install` installs what the lab "
            "needs"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise OperatorError(
            f"{' '.join(words)} did not end within {timeout_seconds:.0f} s"
        ) from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise OperatorError(
            f"{' '.join(words)} ended with {done.returncode}:\n"
            + "\n".join(said[-LAST_LINES:])
        )
    return done.stdout
