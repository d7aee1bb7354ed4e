"""Starts the lab's long-lived processes so that they outlive the command."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from lab import cgroups, commands, paths
from lab.errors import LabError
from lab.processes import ProcessRecord, alive

START_SECONDS = 20.0
_POLL_SECONDS = 0.02


def start(module: str, arguments: list[str], record: Path, log: Path) -> ProcessRecord:
    """Runs `python -m module arguments` as a process of its own session.

    The module calls `ready` once it does its work; waits for that. Raises LabError
    with its last lines if it does not come.
    """
    record.unlink(missing_ok=True)
    log.write_text("")
    redirected = 'exec "$@" </dev/null >"$0" 2>&1'
    program = [sys.executable, "-m", module, *arguments]
    commands.run(
        ["setsid", "--fork", "sh", "-c", redirected, log, *program], cwd=paths.ROOT
    )
    deadline = time.monotonic() + START_SECONDS
    while (started := alive(record)) is None:
        if time.monotonic() > deadline or "Error" in log.read_text():
            time.sleep(_POLL_SECONDS)
            said = "\n".join(log.read_text().splitlines()[-10:])
            raise LabError(f"{module} did not start ({log}):\n{said}")
        time.sleep(_POLL_SECONDS)
    return started


def join(groups: Path) -> None:
    """First act of such a process: it enters the lab's group, where it is found."""
    tree = cgroups.Cgroups.read(groups)
    if tree is None:
        raise LabError(f"{groups} is missing; run `python -m lab up`")
    tree.join(cgroups.SERVICES)


def ready(record: Path) -> None:
    """Says that this process does its work, and which process it is."""
    own = ProcessRecord.of(os.getpid())
    assert own is not None
    own.write(record)
