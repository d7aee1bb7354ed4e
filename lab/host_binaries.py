"""The folder of programs that hosts see at /opt/slipway/bin, read-only."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from toolchain import builds, packages, paths, programs, whole_files
from toolchain.locks import locked

GROUPS = ("kubernetes", "containerd")
SUITE = "trixie"
"""Suite of the Debian release whose etcd and CNI plugins match this Kubernetes."""
DEBIAN = {
    "etcd-server": {"usr/bin/etcd": "etcd"},
    "etcd-client": {"usr/bin/etcdctl": "etcdctl"},
    "containernetworking-plugins": {"usr/lib/cni": "cni"},
}


def make(report: builds.Report = lambda *_: None) -> Path:
    """Gathers the programs; gets what is missing."""
    groups = programs.get_all(GROUPS, report=report)
    debian = packages.unpack(list(DEBIAN), suite=SUITE)
    words = [*(group.identity for group in groups.values()), debian.name, str(DEBIAN)]
    key = hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]
    target = paths.cache() / "hosts-bin" / key
    with locked(target.parent / "lock"):
        if target.is_dir():
            return target
        with whole_files.made(target) as part:
            part.mkdir()
            for group in groups.values():
                for name, path in group.files.items():
                    _link(path, part / name)
            for places in DEBIAN.values():
                for source, place in places.items():
                    _link(debian / source, part / place)
    return target


def _link(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=os.link)
        return
    try:
        os.link(source, target)
    except OSError:  # a program of PATH may lie on another disk
        shutil.copy2(source, target)
