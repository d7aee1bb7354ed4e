"""Locks of a file backend: those of killed runs are cleared, others are respected.

A killed engine leaves its lock behind (`.pulumi/locks/organization/<project>/<stack>/`,
a JSON file with pid, host and time), and every later run would stop at it.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from slipway.engine import processes

ORPHAN_PATIENCE_SECONDS = 30.0
"""Seconds that the engine of a killed `slipway` may take for operations in flight."""

CLOCK_SLACK_SECONDS = 2.0
ENDING_SECONDS = 10.0
"""Seconds that the kernel may take to end an engine that is exiting."""


class LockedError(Exception):
    """Another run is changing the stack."""


def folder(backend: Path, project: str, stack: str) -> Path:
    """Return the folder of the file backend's locks of a stack."""
    return backend / ".pulumi" / "locks" / "organization" / project / stack


def are_there(backend: Path, project: str, stack: str) -> bool:
    """Return whether a live or killed run holds the stack's lock."""
    return any(folder(backend, project, stack).glob("*.json"))


def clear_stale(
    backend: Path, project: str, stack: str, say: Callable[[str], None]
) -> None:
    """Removes locks whose holder on this host no longer lives.

    An engine that outlived a killed `slipway` is asked to stop and waited for. Raises
    LockedError if the holder lives, or is on another host, where we cannot know.
    """
    for file in sorted(folder(backend, project, stack).glob("*.json")):
        try:
            content = json.loads(file.read_text())
        except FileNotFoundError:  # released at this moment
            continue
        except json.JSONDecodeError:
            content = {}
        pid, host = int(content.get("pid", 0)), str(content.get("hostname", ""))
        since = str(content.get("timestamp", "an unknown time"))
        if host and host != socket.gethostname():
            raise LockedError(_held(stack, content, since, file))
        # Twice: while an engine exits, nobody can tell who started it.
        if _is_of_another_run(pid, since) and _is_of_another_run(pid, since):
            raise LockedError(_held(stack, content, since, file))
        if _lives(pid, since):
            say(f"An engine of a killed run (pid {pid}) still works; stopping it ...")
            processes.end(pid, ORPHAN_PATIENCE_SECONDS)
        file.unlink(missing_ok=True)
        file.with_name(f"{file.name}.attrs").unlink(missing_ok=True)
        say(f"Cleared the lock of a run that was killed (pid {pid}, {since[:19]}).")


def _is_of_another_run(pid: int, since: str) -> bool:
    processes.await_ending(pid, ENDING_SECONDS)
    return _lives(pid, since) and not processes.is_orphan(pid)


def _lives(pid: int, since: str) -> bool:
    started = processes.started_at(pid) if pid > 0 else None
    if started is None or pid == os.getpid():
        return False
    try:
        locked = datetime.fromisoformat(since).timestamp()
    except ValueError:
        return processes.name(pid).startswith("pulumi")
    # Started after the lock was taken: another process with the same number.
    return started <= locked + CLOCK_SLACK_SECONDS and processes.name(pid) == "pulumi"


def _held(stack: str, content: dict[str, object], since: str, file: Path) -> str:
    holder = (
        f"{content.get('username')}@{content.get('hostname')}, pid {content.get('pid')}"
    )
    return (
        f"{stack} is being changed by another run ({holder}, since {since[:19]}). "
        f"Wait until it ends. If it no longer runs, delete {file} and run again"
    )
