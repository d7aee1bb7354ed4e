"""Starts the lab's long-lived processes so that they outlive the command.

Each has a control group of its own, which it enters before it does anything, and holds
a lock for as long as it lives: however a command that starts it is killed, there is one
of it at most, and it is found again.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lab import cgroups
from lab.cgroups import Cgroups
from lab.processes import ProcessRecord, alive
from toolchain import commands, paths
from toolchain.errors import OperatorError

START_SECONDS = 30.0
STOP_SECONDS = 10.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Service:
    """A process of the lab whose state is in `lab`: `python -m module arguments`.

    `folder` takes its files: NAME.json says which process it is, once it is ready.
    """

    lab: Path
    folder: Path
    name: str
    module: str

    @property
    def record(self) -> Path:
        return self.folder / f"{self.name}.json"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def group(self) -> str:
        return f"{cgroups.SERVICES}/{self.folder.name}-{self.name}"

    @property
    def process(self) -> ProcessRecord | None:
        """The process, if it is ready and alive."""
        return alive(self.record)

    def start(self, *arguments: str | Path) -> ProcessRecord:
        """Starts it anew and waits until it is ready.

        Raises OperatorError with its last lines if that does not come.
        """
        tree = self._tree()
        self.stop()
        tree.create(self.group)
        self.log.write_text("")
        program = [sys.executable, "-m", self.module, *map(str, arguments)]
        enter = "".join(
            f"echo $$ >{shlex.quote(str(h.path(self.group) / 'cgroup.procs'))} && "
            for h in tree.hierarchies
        )
        into = f"exec </dev/null >{shlex.quote(str(self.log))} 2>&1; "
        script = f"{into}{enter}exec {shlex.join(program)}"
        commands.run(["setsid", "--fork", "sh", "-c", script], cwd=paths.ROOT)
        deadline = time.monotonic() + START_SECONDS
        while (started := self.process) is None:
            said = self.log.read_text()
            if time.monotonic() > deadline or "Error" in said:
                last = "\n".join(said.splitlines()[-10:])
                raise OperatorError(
                    f"{self.module} did not start ({self.log}):\n{last}"
                )
            time.sleep(_POLL_SECONDS)
        return started

    def stop(self) -> None:
        """Ends it, and whatever of it a killed command left half started."""
        self.record.unlink(missing_ok=True)
        self._tree().kill(self.group)

    def _tree(self) -> Cgroups:
        tree = Cgroups.read(self.lab / "cgroups.json")
        if tree is None:
            raise OperatorError("the lab is down; run `python -m lab up`")
        return tree

    # Called by the process itself

    def hold(self) -> int:
        """First act of the process: takes its lock, or ends as there is one already.

        Returns the descriptor that holds the lock.
        """
        lock = os.open(self.folder / f"{self.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    sys.exit(f"Error: another {self.module} holds {self.folder}")
                time.sleep(_POLL_SECONDS)
            else:
                return lock

    def ready(self) -> None:
        """Says that this process does its work, and which process it is."""
        own = ProcessRecord.of(os.getpid())
        assert own is not None
        own.write(self.record)
