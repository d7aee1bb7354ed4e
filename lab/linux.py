"""The system calls that Python 3.11 has no name for: namespaces, mounts, signals."""

from __future__ import annotations

import ctypes
import os
import signal
from enum import IntFlag
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_UMOUNT_DETACH = 2


class Namespaces(IntFlag):
    """Flags of unshare(2) and setns(2), linux/sched.h."""

    MOUNT = 0x00020000
    CGROUP = 0x02000000
    UTS = 0x04000000
    IPC = 0x08000000
    PID = 0x20000000
    NETWORK = 0x40000000


class MountFlags(IntFlag):
    """Flags of mount(2), linux/mount.h."""

    NONE = 0
    READ_ONLY = 1
    NO_SETUID = 2
    NO_DEVICES = 4
    NO_EXEC = 8
    REMOUNT = 32
    BIND = 4096
    RECURSIVE = 16384
    PRIVATE = 1 << 18
    SHARED = 1 << 20


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(namespaces: Namespaces) -> None:
    """Moves this process (for PID: its children) into new namespaces."""
    _check(_libc.unshare(int(namespaces)), f"unshare {namespaces!r}")


def enter_network(pid: int) -> None:
    """Moves this process into the network namespace of another one."""
    with Path(f"/proc/{pid}/ns/net").open() as handle:
        _check(
            _libc.setns(handle.fileno(), int(Namespaces.NETWORK)),
            f"setns into the network namespace of process {pid}",
        )


def mount(
    source: str | Path,
    target: str | Path,
    kind: str = "",
    flags: MountFlags = MountFlags.NONE,
    data: str = "",
) -> None:
    """Attaches a file system to the tree of this mount namespace."""
    result = _libc.mount(
        str(source).encode(),
        str(target).encode(),
        kind.encode() or None,
        ctypes.c_ulong(int(flags)),
        data.encode() or None,
    )
    _check(result, f"mount {source} on {target} ({kind or flags!r})")


def bind(
    source: str | Path,
    target: str | Path,
    *,
    read_only: bool = False,
    flags: MountFlags = MountFlags.NONE,
) -> None:
    """Makes `source` visible at `target` too; both exist."""
    mount(source, target, flags=MountFlags.BIND)
    flags |= MountFlags.READ_ONLY if read_only else MountFlags.NONE
    if flags:
        again = MountFlags.REMOUNT | MountFlags.BIND | flags
        mount("none", target, flags=again)


def pivot_root(new_root: Path, put_old: Path) -> None:
    """Makes `new_root` the / of this mount namespace; the old one is at `put_old`."""
    number = _PIVOT_ROOT[os.uname().machine]
    result = _libc.syscall(number, str(new_root).encode(), str(put_old).encode())
    _check(result, f"pivot_root {new_root}")


def unmount_lazily(target: str | Path) -> None:
    """umount2(2) with MNT_DETACH."""
    _check(_libc.umount2(str(target).encode(), _UMOUNT_DETACH), f"umount {target}")


def die_with_parent(parent: int) -> None:
    """Asks the kernel to SIGKILL this process when its parent ends.

    `parent` is the id that the parent has here: had it ended before, we end now.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent:
        os._exit(1)
