"""The base image's root file system, from pinned Debian packages by mmdebstrap.

mmdebstrap installs from a folder with exactly the archives that images/debian.lock
names, so that nothing else can come in.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from slipway.images import debian_archive, debian_lock
from slipway.images.errors import ImageError
from toolchain import commands, paths, whole_files
from toolchain.digests import sha256_of
from toolchain.locks import locked
from toolchain.mirror import KEYRING

SUITE = "bookworm"
"""Of the base image, and of a root file system that names none."""
PYTHON = {"bookworm": "3.11", "trixie": "3.13"}
"""By suite, of those that a root file system can be of."""
ALWAYS = ("apt", "usr-is-merged")
"""apt unpacks packages for other images where this machine has none. usr-is-merged, on
a system merged from the start, saves usrmerge with all of Perl."""
SOURCES = f"""\
deb [signed-by={KEYRING}] {debian_archive.PUBLIC} {{suite}} main
deb [signed-by={KEYRING}] {debian_archive.PUBLIC}-security {{suite}}-security main
"""
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
       /usr/lib/python{python} /usr/lib/python3""",
    # Files that differ from one run to the next.
    """rm -rf "$1"/var/log/* "$1"/var/cache/* "$1"/var/lib/apt/lists/* \\
       "$1"/etc/machine-id "$1"/var/lib/dbus/machine-id""",
    # Nobody logs in here: no file keeps setuid or setgid.
    """find "$1/usr" -xdev -type f -perm /6000 -exec chmod a-s {} +""",
)


def _recipe(wanted: Sequence[str], suite: str) -> list[str]:
    included = ",".join(sorted([*wanted, *ALWAYS]))
    options = ["--variant=minbase", f"--include={included}", f"--hook-dir={MERGED_USR}"]
    options += ['--aptopt=APT::Install-Recommends "false"']
    options += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    options += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    hooks = [hook.replace("{python}", PYTHON[suite]) for hook in HOOKS]
    hooks.append(_sources(suite))
    return options + [f"--customize-hook={hook}" for hook in hooks]


def _sources(suite: str) -> str:
    """The source of the packages is a folder of the build machine: the public one."""
    text = SOURCES.format(suite=suite)
    return f"""rm -rf "$1"/etc/apt/sources.list.d/*
        printf '%s' '{text}' > "$1"/etc/apt/sources.list"""


def key(wanted: Sequence[str], suite: str = SUITE) -> str:
    """Digest of the recipe and the pinned packages."""
    pins = [str(pin) for pin in debian_lock.of(suite, wanted)]
    words = json.dumps([suite, os.uname().machine, _recipe(wanted, suite), pins])
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def path(wanted: Sequence[str], suite: str = SUITE) -> Path:
    return paths.cache() / "rootfs" / f"image-{key(wanted, suite)}.tar"


def obstacle(wanted: Sequence[str], suite: str = SUITE) -> str:
    """Return what this machine lacks to create it; empty if nothing is missing."""
    if path(wanted, suite).is_file() or shutil.which("mmdebstrap"):
        return ""
    return "it is made by mmdebstrap, which is not on PATH (apt-get install mmdebstrap)"


def make(wanted: Sequence[str], suite: str = SUITE) -> Path:
    """A tar of Debian with the wanted packages, made once from pinned archives."""
    target = path(wanted, suite)
    if target.is_file():
        return target
    with locked(target.parent / "image.lock"):
        if target.is_file():
            return target
        with (
            whole_files.made(target) as part,
            tempfile.TemporaryDirectory(prefix="slipway-rootfs-") as folder,
        ):
            sources = [_repository(wanted, suite, Path(folder))]
            _install(wanted, suite, part, sources)
    return target


def _repository(wanted: Sequence[str], suite: str, folder: Path) -> str:
    """Makes a repository of the pinned archives; its line of a sources.list.

    https://wiki.debian.org/DebianRepository/Format#Flat_Repository_Format
    """
    folder.chmod(0o755)  # apt may read it as a user of its own
    blocks = []
    for archive in debian_archive.fetch(debian_lock.of(suite, wanted)):
        (folder / archive.name).symlink_to(archive)
        fields = commands.run(["dpkg-deb", "--field", archive]).strip()
        blocks.append(
            f"{fields}\nFilename: ./{archive.name}\n"
            f"Size: {archive.stat().st_size}\nSHA256: {sha256_of(archive)}\n"
        )
    _index(folder, suite, "\n".join(blocks))
    # Trusted: `fetch` has compared each archive with its pin.
    return f"deb [trusted=yes] copy:{folder} ./"


def _index(folder: Path, suite: str, packages: str) -> None:
    """Writes the index, and the file by which mmdebstrap knows the suite."""
    content = packages.encode()
    (folder / "Packages").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (folder / "Release").write_text(
        f"Suite: {suite}\nCodename: {suite}\n"
        f"SHA256:\n {digest} {len(content)} Packages\n"
    )


def _install(
    wanted: Sequence[str], suite: str, target: Path, sources: Sequence[str]
) -> None:
    recipe = ["mmdebstrap", "--quiet", *_recipe(wanted, suite)]
    try:
        done = subprocess.run(
            [*recipe, suite, str(target), *sources],
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
