"""Inside a new host: builds its root file system and hands over to its systemd.

Runs as the first process of the host's namespaces (lab.supervisor made them). What is
mounted here is in the host's own mount namespace and ends with it.
"""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from lab.cgroups import Hierarchy
from lab.host_spec import HostSpec
from lab.linux import MountFlags, bind, mount, pivot_root, unmount_lazily

DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
    "kmsg": (1, 11),
}

PERSISTENT = (
    "var/lib/containerd",
    "var/lib/docker",
    "var/lib/etcd",
    "var/lib/kubelet",
)
"""Held outside the overlay: containers' overlays and etcd's files need a real disk."""

SHADOWED_SYSCTLS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
"""The kubelet writes these (kubernetes/pkg/kubelet/cm, setupKernelTunables); they are
the whole machine's, so a host gets files of its own in their place."""

_SAFE = MountFlags.NO_SETUID | MountFlags.NO_DEVICES | MountFlags.NO_EXEC


def enter(spec: HostSpec) -> None:
    """Builds the root, makes it / and identifies the host."""
    mount("none", "/", flags=MountFlags.RECURSIVE | MountFlags.PRIVATE)
    root = spec.folder / "root"
    root.mkdir(exist_ok=True)
    upper, work = spec.folder / "upper", spec.folder / "work"
    layers = f"lowerdir={spec.rootfs},upperdir={upper},workdir={work}"
    mount(f"slipway-{spec.host.name}", root, "overlay", data=layers)
    _process_file_system(root)
    mount("sysfs", root / "sys", "sysfs", _SAFE | MountFlags.READ_ONLY)
    _devices(root / "dev")
    for name, options in (("run", "mode=755"), ("tmp", "mode=1777")):
        flags = MountFlags.NO_SETUID | MountFlags.NO_DEVICES
        mount("tmpfs", root / name, "tmpfs", flags, options)
    _shadow_sysctls(root)
    _control_groups(root / "sys/fs/cgroup", spec.hierarchies)
    for name in PERSISTENT:
        source, target = spec.folder / "disk" / name, root / name
        source.mkdir(parents=True, exist_ok=True)
        source.chmod(0o700)
        target.mkdir(parents=True, exist_ok=True)
        bind(source, target)
    for where, source in spec.binds.items():
        (root / where).mkdir(parents=True, exist_ok=True)
        bind(source, root / where, read_only=True)
    _identify(root, spec)
    os.chdir(root)
    Path("mnt/old").mkdir(parents=True, exist_ok=True)
    pivot_root(Path(), Path("mnt/old"))
    os.chdir("/")
    unmount_lazily("/mnt/old")
    Path("/mnt/old").rmdir()
    # Containers' volumes spread from the kubelet's mounts.
    mount("none", "/", flags=MountFlags.RECURSIVE | MountFlags.SHARED)


def _process_file_system(root: Path) -> None:
    proc = root / "proc"
    mount("proc", proc, "proc", _SAFE)
    # What is the machine's own cannot be written; what belongs to the host's network
    # can (LXC calls this proc:mixed).
    for name in ("sys", "sysrq-trigger", "irq", "bus", "fs"):
        if (proc / name).exists():
            bind(proc / name, proc / name, read_only=True, flags=_SAFE)
    bind(proc / "sys/net", proc / "sys/net", flags=_SAFE)


def _shadow_sysctls(root: Path) -> None:
    for name in SHADOWED_SYSCTLS:
        own, real = root / "run/slipway-sysctl" / name, root / "proc/sys" / name
        if real.exists():
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_text(real.read_text())
            bind(own, real)


def _devices(dev: Path) -> None:
    mount("tmpfs", dev, "tmpfs", MountFlags.NO_SETUID, "mode=755,size=64m")
    for name, (major, minor) in DEVICES.items():
        os.mknod(dev / name, stat.S_IFCHR | 0o666, os.makedev(major, minor))
        (dev / name).chmod(0o666)
    for name in ("pts", "shm", "mqueue"):
        (dev / name).mkdir()
    options = "newinstance,ptmxmode=0666,mode=620,gid=5"
    mount("devpts", dev / "pts", "devpts", MountFlags.NO_SETUID, options)
    flags = MountFlags.NO_SETUID | MountFlags.NO_DEVICES
    mount("tmpfs", dev / "shm", "tmpfs", flags, "mode=1777")
    mount("mqueue", dev / "mqueue", "mqueue", _SAFE)
    (dev / "ptmx").symlink_to("pts/ptmx")
    (dev / "fd").symlink_to("/proc/self/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (dev / name).symlink_to(f"/proc/self/fd/{number}")


def _control_groups(target: Path, hierarchies: tuple[Hierarchy, ...]) -> None:
    unified_only = [h for h in hierarchies if not h.place]
    if unified_only:
        mount("cgroup2", target, "cgroup2", _SAFE)
        return
    mount("tmpfs", target, "tmpfs", _SAFE, "mode=755")
    for hierarchy in hierarchies:
        place = target / hierarchy.place
        place.mkdir()
        options = "" if hierarchy.kind == "cgroup2" else hierarchy.options
        mount(hierarchy.kind, place, hierarchy.kind, _SAFE, options)
        for controller in hierarchy.place.split(","):
            if controller != hierarchy.place:
                (target / controller).symlink_to(hierarchy.place)


def _identify(root: Path, spec: HostSpec) -> None:
    socket.sethostname(spec.host.name)
    (root / "etc/hostname").write_text(f"{spec.host.name}\n")
    (root / "etc/machine-id").write_text(f"{spec.machine_id}\n")
    (root / "etc/hosts").write_text(spec.hosts_file)
    resolver = root / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.write_text("")
