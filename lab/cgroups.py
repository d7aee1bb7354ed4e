"""Control groups of one lab: one folder of its own in each hierarchy of the machine.

They bound what the lab's processes are: whatever was started, by whichever run of
whichever command, is found in them and ended by its id.

    <own group>/slipway-<id>/services      network holder, supervisors, forwards
                            /runs          playbook runs
                            /hosts/<name>  one host: becomes the root of its own view
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from toolchain import whole_files
from toolchain.errors import OperatorError

SERVICES = "services"
RUNS = "runs"
HOSTS = "hosts"
_REMOVE_SECONDS = 10.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Hierarchy:
    """One cgroup file system: where hosts mount it, how, and the lab's folder in it.

    `place` is relative to /sys/fs/cgroup and empty for a unified (version 2) machine.
    """

    place: str
    kind: str
    options: str
    folder: str

    def path(self, group: str = "") -> Path:
        return Path(self.folder, group)


@dataclass(frozen=True)
class Cgroups:
    """The lab's folders in all hierarchies."""

    hierarchies: tuple[Hierarchy, ...]

    @classmethod
    def discover(cls, identity: str) -> Cgroups:
        """Folders named after `identity` below this process's own groups."""
        return cls.parse(
            Path("/proc/self/mountinfo").read_text(),
            Path("/proc/self/cgroup").read_text(),
            identity,
        )

    @classmethod
    def parse(cls, mountinfo: str, own_groups: str, identity: str) -> Cgroups:
        """Joins mountinfo (proc(5)) and /proc/self/cgroup (cgroups(7))."""
        own = {}
        for line in own_groups.splitlines():
            _, controllers, path = line.split(":", 2)
            own[controllers] = path
        found: dict[str, Hierarchy] = {}
        for line in mountinfo.splitlines():
            before, _, after = line.partition(" - ")
            point = before.split()[4]
            kind, _, options = after.split(maxsplit=2)
            if kind not in ("cgroup", "cgroup2") or point in found:
                continue
            controllers = _controllers(options, own) if kind == "cgroup" else ""
            if controllers not in own:
                continue
            # With version 2 alone, a group with processes cannot have children with
            # controllers, and ours has at least this process: begin at the top.
            path = "" if point == "/sys/fs/cgroup" else own[controllers].strip("/")
            named = controllers.startswith("name=")
            found[point] = Hierarchy(
                place=str(Path(point).relative_to("/sys/fs/cgroup"))
                if point != "/sys/fs/cgroup"
                else "",
                kind=kind,
                options=f"none,{controllers}" if named else controllers,
                folder=str(Path(point, path, f"slipway-{identity}")),
            )
        if not found:
            raise OperatorError("no cgroup file system is mounted below /sys/fs/cgroup")
        return cls(tuple(found.values()))

    @classmethod
    def read(cls, path: Path) -> Cgroups | None:
        """Return the data of `write`; None if they are missing or incomplete."""
        try:
            entries = json.loads(path.read_text())
            return cls(tuple(Hierarchy(**entry) for entry in entries))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        content = [asdict(entry) for entry in self.hierarchies]
        whole_files.write(path, json.dumps(content))

    def create(self, group: str) -> None:
        """Makes a group in all hierarchies, ready to take processes."""
        for hierarchy in self.hierarchies:
            top = hierarchy.path()
            steps = [
                top,
                *(top / p for p in reversed(Path(group).parents)),
                top / group,
            ]
            for step in dict.fromkeys(steps):
                _make(step, controllers=hierarchy.kind == "cgroup2")

    def join(self, group: str, pid: int = 0) -> None:
        """Moves a process, by default this one, into a group."""
        for hierarchy in self.hierarchies:
            (hierarchy.path(group) / "cgroup.procs").write_text(f"{pid}\n")

    def pids(self, group: str = "") -> set[int]:
        """All processes in a group and below."""
        found: set[int] = set()
        for hierarchy in self.hierarchies:
            for folder in _below(hierarchy.path(group)):
                try:
                    text = (folder / "cgroup.procs").read_text()
                except OSError:
                    continue
                # 0 stands for a process that this pid namespace does not see.
                found |= {int(word) for word in text.split()} - {0}
        return found

    def kill(self, group: str = "") -> None:
        """Ends all processes of a group, whatever they fork meanwhile."""
        deadline = time.monotonic() + _REMOVE_SECONDS
        while pids := self.pids(group) - {os.getpid()}:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if time.monotonic() > deadline:
                raise OperatorError(f"processes do not end on SIGKILL: {sorted(pids)}")
            time.sleep(_POLL_SECONDS)

    def remove(self, group: str = "") -> None:
        """Deletes the folders of a group without processes."""
        for hierarchy in self.hierarchies:
            deadline = time.monotonic() + _REMOVE_SECONDS
            while left := [f for f in _below(hierarchy.path(group)) if not _rmdir(f)]:
                if time.monotonic() > deadline:
                    raise OperatorError(f"control groups are still in use: {left[0]}")
                time.sleep(_POLL_SECONDS)


def _controllers(options: str, own: dict[str, str]) -> str:
    words = set(options.split(","))
    for controllers in own:
        if controllers and set(controllers.split(",")) <= words:
            return controllers
    return "?"


def _make(folder: Path, *, controllers: bool) -> None:
    folder.mkdir(exist_ok=True)
    for name in ("cpuset.cpus", "cpuset.mems"):
        # Version 1: a new group has no processor and takes no process before.
        path = folder / name
        if path.exists() and not controllers and not path.read_text().strip():
            path.write_text((folder.parent / name).read_text())
    if controllers:
        have = (folder.parent / "cgroup.controllers").read_text().split()
        for controller in have:
            try:
                switch = folder.parent / "cgroup.subtree_control"
                switch.write_text(f"+{controller}\n")
            except OSError:  # not every controller can be handed on
                continue


def _below(folder: Path) -> Iterator[Path]:
    """The folder and all below it, the deepest first."""
    for path, _, _ in os.walk(folder, topdown=False):
        yield Path(path)


def _rmdir(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
