"""Runs a builder's program: its steps are reported, its failure is an error text."""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from slipway.images.builders.builder import BuilderError, Say

LAST_LINES = 25
_STEP = re.compile(r"^(?:\[[^]]*\] )?STEP (.*)|^#\d+ (\[.*)")
"""A step as buildah and Podman print it, and as BuildKit does in plain progress."""


def ignore(_text: str) -> None:
    """Reports nothing."""


def run(
    command: Sequence[str],
    what: str,
    say: Say = ignore,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Runs one command and returns the last lines of its output.

    Raises BuilderError with these lines, and with `what` it was for, if it fails.
    """
    lines: deque[str] = deque(maxlen=LAST_LINES)
    try:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise _absent(error) from error
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if step := _STEP.match(line):
                say(f"step {step[1] or step[2]}"[:100].rstrip())
    return _ended(command, what, process.returncode, "\n".join(lines))


def output(
    command: Sequence[str],
    what: str,
    timeout_seconds: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Standard output of one command; see `run` for errors."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise _absent(error) from error
    except subprocess.TimeoutExpired as error:
        raise BuilderError(
            f"{what}: {_command_text(command)} did not end within "
            f"{timeout_seconds:.0f} s"
        ) from error
    _ended(command, what, done.returncode, done.stderr.strip() or done.stdout.strip())
    return done.stdout


def output_to_file(
    command: Sequence[str],
    what: str,
    target: Path,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Writes standard output of one command to a file; see `run` for errors."""
    try:
        with target.open("wb") as file:
            done = subprocess.run(
                command,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.PIPE,
                check=False,
            )
    except FileNotFoundError as error:
        raise _absent(error) from error
    said = done.stderr.decode(errors="replace").strip()
    _ended(command, what, done.returncode, said)


def _absent(error: FileNotFoundError) -> BuilderError:
    return BuilderError(f"{error.filename} is not on PATH")


def _command_text(command: Sequence[str]) -> str:
    """A command by its program and verb, without its many options."""
    words = [word for word in command if not word.startswith("-")]
    return " ".join([word for word in words if word != "unshare"][:2])


def _ended(command: Sequence[str], what: str, status: int, said: str) -> str:
    if status:
        last = "\n".join(said.splitlines()[-LAST_LINES:])
        raise BuilderError(
            f"{what}: {_command_text(command)} ended with {status}:\n{last}"
        )
    return said
