"""The lab's requirements on the machine, and how to meet them."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from toolchain import commands
from toolchain.errors import OperatorError
from toolchain.mirror import KEYRING

PROGRAMS = {
    "buildah": "buildah",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
    "setsid": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
"""Debian package by program that it brings."""

FILES = {KEYRING: "debian-archive-keyring"}

OWN_CLUSTER = (
    "With a Kubernetes cluster of your own no lab is needed: point KUBECONFIG at it, "
    "run `slipway images push --registry HOST/PATH` and then `slipway up platform.mine "
    "models.mine`"
)


def missing() -> list[str]:
    """Debian packages that the lab needs and this machine lacks."""
    lacks = [name for program, name in PROGRAMS.items() if not shutil.which(program)]
    lacks += [name for path, name in FILES.items() if not Path(path).exists()]
    return sorted(set(lacks))


def install(packages: Sequence[str]) -> None:
    """Installs Debian packages by the machine's apt."""
    check_machine()
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    commands.run(["apt-get", "--quiet", "update"], environment=quiet)
    commands.run(
        ["apt-get", "--quiet", "--yes", "--no-install-recommends", "install"]
        + list(packages),
        environment=quiet,
    )


def check_machine() -> None:
    """Raises OperatorError unless this is Linux with apt and we are root."""
    if platform.system() != "Linux":
        raise OperatorError(
            f"the lab needs Linux, this is {platform.system()}. {OWN_CLUSTER}"
        )
    if not shutil.which("apt-get"):
        raise OperatorError(
            f"the lab needs Debian (apt-get is not on PATH). {OWN_CLUSTER}"
        )
    if os.geteuid() != 0:
        raise OperatorError(
            "the lab needs root, as it makes namespaces and mounts file systems in "
            f"them; this is user {os.geteuid()}: run it under sudo. {OWN_CLUSTER}"
        )


def check() -> None:
    """Raises OperatorError with all that stands in the lab's way."""
    check_machine()
    if lacks := missing():
        raise OperatorError(
            f"Debian packages are missing: {' '.join(lacks)}; `python -m lab install` "
            f"or `apt-get install {' '.join(lacks)}` installs them"
        )
