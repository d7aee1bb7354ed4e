"""The base image's root file system, from Debian packages by mmdebstrap."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from slipway.images.errors import ImageError
from toolchain import paths
from toolchain.locks import locked
from toolchain.mirror import DebianMirror

SUITE = "bookworm"
MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"
LEFT_OUT = (
    "/usr/share/man/*",
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
)
HOOKS = (
    # A build sets all file times to 0, which would make time-checked .pyc files stale
    # and each start slow: compile anew with the sources' hashes in place of times.
    """find "$1/usr" -xdev -name __pycache__ -prune -exec rm -rf {} +""",
    """chroot "$1" python3 -m compileall -q --invalidation-mode unchecked-hash \\
       /usr/lib/python3.11 /usr/lib/python3""",
    # Files that differ from one run to the next.
    """rm -rf "$1"/var/log/* "$1"/var/cache/* "$1"/var/lib/apt/lists/* \\
       "$1"/etc/machine-id "$1"/var/lib/dbus/machine-id""",
    # Nobody logs in here: no file keeps setuid or setgid.
    """find "$1/usr" -xdev -type f -perm /6000 -exec chmod a-s {} +""",
)


def _recipe(wanted: Sequence[str]) -> list[str]:
    # usr-is-merged, on a system merged from the start, saves usrmerge with all of Perl.
    included = ",".join(sorted([*wanted, "usr-is-merged"]))
    options = ["--variant=minbase", f"--include={included}", f"--hook-dir={MERGED_USR}"]
    options += ['--aptopt=APT::Install-Recommends "false"']
    options += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    options += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    return options + [f"--customize-hook={hook}" for hook in HOOKS]


def key(wanted: Sequence[str]) -> str:
    """Digest of the recipe; the mirror's state is not in it (see `make`)."""
    words = json.dumps([SUITE, os.uname().machine, _recipe(wanted)])
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def path(wanted: Sequence[str]) -> Path:
    return paths.cache() / "rootfs" / f"image-{key(wanted)}.tar"


def make(wanted: Sequence[str]) -> Path:
    """A tar of Debian with the wanted packages, made once from the machine's mirrors.

    Delete the file to take newer packages.
    """
    target = path(wanted)
    if target.is_file():
        return target
    with locked(target.parent / "image.lock"):
        if target.is_file():
            return target
        part = target.with_suffix(".part.tar")
        part.unlink(missing_ok=True)
        sources = DebianMirror.of_this_machine().sources(SUITE).splitlines()
        try:
            done = subprocess.run(
                ["mmdebstrap", "--quiet", *_recipe(wanted), SUITE, str(part), *sources],
                env={**os.environ, "SOURCE_DATE_EPOCH": "0", "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise ImageError(
                "mmdebstrap, which builds the base image, is not on PATH: apt-get "
                "install mmdebstrap"
            ) from error
        if done.returncode:
            raise ImageError(
                "base: mmdebstrap failed:\n"
                + "\n".join(done.stderr.strip().splitlines()[-15:])
            )
        part.rename(target)
    return target
