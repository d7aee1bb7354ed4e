"""The base root file system that all lab hosts share, read-only, below their own disks.

Made once per recipe by mmdebstrap from the machine's Debian mirror into the cache.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from toolchain import commands, paths, whole_files
from toolchain.locks import locked
from toolchain.mirror import KEYRING, DebianMirror

SUITE = "bookworm"
PACKAGES = (
    "ca-certificates",
    "conntrack",
    "curl",
    "dbus",
    "ethtool",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "mount",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "systemd",
    "systemd-sysv",
)
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")

# Units that manage hardware, the machine's kernel or its disks: a host in namespaces
# has none of its own. logind stays, Ansible's reboot module asks it.
MASKED_UNITS = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dev-hugepages.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "modprobe@.service",
    "nftables.service",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-journald-audit.socket",
    "systemd-modules-load.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-sysctl.service",
    "systemd-timesyncd.service",
    "systemd-udev-settle.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
)

FILES = {
    "etc/systemd/journald.conf.d/lab.conf": """\
[Journal]
Audit=no
ReadKMsg=no
RuntimeMaxUse=64M
Storage=volatile
""",
    "etc/systemd/system.conf.d/lab.conf": """\
[Manager]
DefaultTimeoutStartSec=120s
DefaultTimeoutStopSec=10s
LogLevel=notice
""",
    # Hosts have no internet access: what they install comes from the bound repository.
    "etc/apt/sources.list": "deb [trusted=yes] file:/opt/slipway/repo ./\n",
    "etc/apt/apt.conf.d/90lab": 'Acquire::Languages "none";\n',
    "etc/profile.d/slipway.sh": "export PATH=/opt/slipway/bin:$PATH\n",
}

EMPTY_FOLDERS = (
    "opt/slipway/bin",
    "opt/slipway/images",
    "opt/slipway/repo",
    "var/lib/containerd",
    "var/lib/etcd",
    "var/lib/kubelet",
)


def key() -> str:
    """Digest of all that decides the result, but the mirror's packages of the day."""
    recipe = [SUITE, PACKAGES, LEFT_OUT, MASKED_UNITS, FILES, EMPTY_FOLDERS]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]


def folder(of: str = "") -> Path:
    """Return the folder of the base of this recipe, or of the one with key `of`."""
    return paths.cache() / "rootfs" / (of or key())


def is_made(of: str = "") -> bool:
    return (folder(of) / ".slipway-base").is_file()


def make() -> Path:
    """Makes the base unless it stands; about 30 s on free cores, 250 MB."""
    target = folder()
    with locked(target.parent / "lock"):
        # Programs with the set-uid bit must not be within other users' reach.
        target.parent.chmod(0o700)
        if not is_made():
            with whole_files.made(target) as part:
                _bootstrap(part)
                _adapt(part)
    return target


def _bootstrap(target: Path) -> None:
    commands.run(
        [
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT),
            f"--keyring={KEYRING}",
            SUITE,
            target,
            *DebianMirror.of_this_machine().sources(SUITE).splitlines(),
        ],
        timeout_seconds=1800,
    )


def _adapt(root: Path) -> None:
    units = root / "etc/systemd/system"
    for unit in MASKED_UNITS:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (units / "default.target").unlink(missing_ok=True)
    (units / "default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in EMPTY_FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    for lists in (root / "etc/apt/sources.list.d").iterdir():
        lists.unlink()
    for host_key in (root / "etc/ssh").glob("ssh_host_*"):
        host_key.unlink()  # each host has its own
    shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
    (root / "var/lib/apt/lists/partial").mkdir(parents=True)
    (root / "etc/machine-id").write_text("")
    (root / ".slipway-base").touch()
