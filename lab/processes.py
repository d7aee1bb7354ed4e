"""Records of processes that outlive the command which started them.

A pid alone may have been given to another process since; with the time of its start
and the machine's boot it cannot be mistaken.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from toolchain import whole_files

_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class ProcessRecord:
    """One process: its id, its start in clock ticks since boot, and which boot."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessRecord | None:
        """The record of a living process; None if there is none of that id."""
        started = start_time(pid)
        return None if started is None else cls(pid, started, boot())

    @classmethod
    def read(cls, path: Path) -> ProcessRecord | None:
        """Return the data of `write`; None if there is no complete record."""
        try:
            return cls(**json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Writes at once or not at all, whatever happens meanwhile."""
        whole_files.write(path, json.dumps(asdict(self)))

    @property
    def is_alive(self) -> bool:
        """Return whether that very process still runs (a zombie does not)."""
        return self.boot == boot() and start_time(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal if it is alive."""
        if self.is_alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def wait(self, timeout_seconds: float) -> bool:
        """Waits for its end; False if it did not come in time."""
        deadline = time.monotonic() + timeout_seconds
        while self.is_alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True


def alive(path: Path) -> ProcessRecord | None:
    """The recorded process if it runs, else None."""
    record = ProcessRecord.read(path)
    return record if record is not None and record.is_alive else None


def start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat (proc(5)); None if there is no such live process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in brackets may hold spaces and brackets.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])


def boot() -> str:
    """Names this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
