"""CPU and memory limits of this container: cgroup v2, v1, the affinity."""

from __future__ import annotations

import os
from pathlib import Path


def cpu_limit(root: Path = Path("/")) -> float:
    """Return the CPUs this process may use at most, as a number that may be broken.

    The quota of every group from the process's own up to the root counts, and so does
    the affinity mask. Files under `root` are read (tests give another).
    """
    limits = [float(len(os.sched_getaffinity(0)))]
    for group in _groups(root):
        limit = _quota(group)
        if limit is not None:
            limits.append(limit)
    return min(limits)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Return the bytes of memory beyond which this process is killed, if any."""
    limits = [_memory(group) for group in _groups(root, "memory")]
    return min((limit for limit in limits if limit is not None), default=None)


def threads(limit: float) -> int:
    """Return how many threads fit in a CPU limit without being throttled."""
    return max(1, int(limit))


def _groups(root: Path, controller: str = "cpu") -> list[Path]:
    """Return the folders whose limits may bind this process.

    In a container the path in /proc/self/cgroup is the host's while the mount shows
    the container's own group as its root, so each ancestor up to the mount counts.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    mounts = root / "sys/fs/cgroup"
    groups = []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if not controllers:
            mount = mounts
        elif controller in controllers.split(","):
            mount = mounts / controller
            if not mount.is_dir():
                mount = mounts / controllers
        else:
            continue
        parts = [part for part in name.split("/") if part not in {"", ".."}]
        groups += [
            mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)
        ]
    return groups


def _quota(group: Path) -> float | None:
    """Return the quota in CPUs that a group's files set, if any."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota in {"max", "-1"}:
        return None
    return int(quota) / int(period)


def _memory(group: Path) -> int | None:
    """Return the bytes that a group's files allow, if they name a number."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            text = (group / name).read_text().strip()
        except OSError:
            continue
        return int(text) if text.isdigit() else None
    return None
