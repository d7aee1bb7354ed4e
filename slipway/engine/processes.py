"""Processes of this machine, as far as `/proc` shows them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

RUN_VARIABLE = "SLIPWAY_RUN"
"""Variable in each engine's environment with its parent, as `<pid>:<start>`."""


def start_ticks(pid: int) -> int | None:
    """Start of a process in clock ticks since boot; None if there is none, or a zombie.

    Together with the number it names a process for good: numbers are used again.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name may contain anything
    return None if fields[0] in "ZX" else int(fields[19])


def started_at(pid: int) -> float | None:
    """Start of a process in seconds since the epoch; None if there is none."""
    ticks = start_ticks(pid)
    if ticks is None:
        return None
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


def name(pid: int) -> str:
    """The program's name as the kernel knows it, at most 15 characters."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def own_mark() -> str:
    """Return the RUN_VARIABLE of engines that this process starts."""
    return f"{os.getpid()}:{start_ticks(os.getpid())}"


def _environment(pid: int) -> bytes | None:
    """Return a process' variables according to the kernel; None if it hides them."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None


def await_ending(pid: int, seconds: float) -> None:
    """Waits, at most so long, for a process that is about to end.

    It is still listed, but its memory is gone: its variables are empty, and who
    started it cannot be known any more.
    """
    deadline = time.monotonic() + seconds
    while start_ticks(pid) is not None and _environment(pid) == b"":
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


def is_orphan(pid: int) -> bool:
    """Return whether a Slipway that has exited started this process."""
    environment = _environment(pid) or b""
    prefix = f"{RUN_VARIABLE}=".encode()
    for entry in environment.split(b"\0"):
        if entry.startswith(prefix):
            owner, _, ticks = entry.removeprefix(prefix).decode().partition(":")
            return str(start_ticks(int(owner))) != ticks
    return False


def children(program: str) -> list[int]:
    """Direct children of this process that run the program."""
    found: list[int] = []
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found += [int(pid) for pid in task.read_text().split()]
        except OSError:  # the thread has just ended
            continue
    return [pid for pid in found if name(pid) == program]


def interrupt(pid: int) -> None:
    """Ask a process to stop, as Ctrl-C does."""
    os.kill(pid, signal.SIGINT)


def end(pid: int, patience_seconds: float) -> None:
    """Ask a process to stop, and kill it if it has not in that time."""
    ticks = start_ticks(pid)
    if ticks is None:
        return
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + patience_seconds
    while start_ticks(pid) == ticks:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.1)
