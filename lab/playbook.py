"""Runs ansible-playbook inside the lab's network, over plain ssh to its hosts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import cgroups
from lab.network import Network
from toolchain import paths
from toolchain.errors import OperatorError

PLAYBOOKS = paths.ROOT / "playbooks"
_RECAP = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>(?:\w+=\d+\s*)+)$")
_LAST_LINES = 40


@dataclass(frozen=True)
class PlaybookResult:
    """The result of a run: number of tasks by host, and the whole output."""

    status: int
    ok: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    unreachable: dict[str, int] = field(default_factory=dict)
    output: str = ""

    @classmethod
    def parse(cls, status: int, output: str) -> PlaybookResult:
        """Reads the recap at the end of ansible-playbook's output."""
        counts: dict[str, dict[str, int]] = {}
        for line in output.rpartition("PLAY RECAP")[2].splitlines():
            if match := _RECAP.match(line.strip()):
                for word in match["counts"].split():
                    name, _, number = word.partition("=")
                    counts.setdefault(name, {})[match["host"]] = int(number)
        kinds = ("ok", "changed", "failed", "unreachable")
        ok, changed, failed, unreachable = (counts.get(kind, {}) for kind in kinds)
        return cls(status, ok, changed, failed, unreachable, output)

    @property
    def succeeded(self) -> bool:
        return self.status == 0

    @property
    def changes(self) -> int:
        """Changed tasks over all hosts."""
        return sum(self.changed.values())

    def check(self) -> None:
        """Raises OperatorError with the last lines unless the run succeeded."""
        if not self.succeeded:
            last = "\n".join(self.output.splitlines()[-_LAST_LINES:])
            raise OperatorError(f"ansible-playbook ended with {self.status}:\n{last}")


def run(
    folder: Path,
    playbook: Path,
    arguments: Sequence[str] = (),
    *,
    inventory: Path,
    each_line: Callable[[str], None] = lambda _: None,
) -> PlaybookResult:
    """Runs a playbook on the lab whose state is in `folder`; keeps its output there.

    The run belongs to the lab: `down` ends it should this command have been killed.
    """
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    words = [program, "--inventory", str(inventory), *arguments, str(playbook)]
    tree = cgroups.Cgroups.read(folder / "cgroups.json")
    if tree is None:
        raise OperatorError("the lab is down; run `python -m lab up`")
    tree.create(cgroups.RUNS)
    log = folder / "logs" / f"{playbook.stem}.log"
    log.parent.mkdir(exist_ok=True)
    lines = []
    with (
        log.open("w") as kept,
        subprocess.Popen(
            Network(folder).command(words),
            cwd=playbook.parent,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        tree.join(cgroups.RUNS, process.pid)
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            kept.write(line)
            kept.flush()
            each_line(line.rstrip("\n"))
            if line.startswith("PLAY RECAP"):
                break
        # ssh's shared connections stay open a minute and hold the pipe: read the
        # recap, then let ansible end without waiting for them.
        for line in process.stdout:
            if not line.strip():
                break
            lines.append(line)
            kept.write(line)
            each_line(line.rstrip("\n"))
        status = process.wait()
    return PlaybookResult.parse(status, "".join(lines))


def _environment(folder: Path) -> dict[str, str]:
    home = folder / "ansible"
    own = {
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(home / "cp"),
        "LC_ALL": "C.UTF-8",
    }
    configuration = PLAYBOOKS / "ansible.cfg"
    if configuration.is_file():
        own["ANSIBLE_CONFIG"] = str(configuration)
    return {**os.environ, **own}
