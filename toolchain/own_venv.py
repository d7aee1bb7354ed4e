"""Python tools with pins of their own: an environment each, kept in the cache."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from toolchain import paths
from toolchain.locks import locked

INSTALL_SECONDS = 600
READY = ".ready"


def python(requirements: Path) -> Path:
    """The interpreter with exactly these requirements; installs on the first call.

    `requirements-<tool>.txt`, or an image's `requirements.txt`, lists all packages, as
    pip freeze does; the `.lock` file beside it has the hashes of their files.
    """
    lock, target = requirements.with_suffix(".lock"), _target(requirements)
    interpreter, ready = target / "bin" / "python", target / READY
    if ready.exists():
        return interpreter
    with locked(target.parent / "lock"):
        if not ready.exists():
            venv.create(target, with_pip=True, clear=True)
            install = [str(interpreter), "-m", "pip", "install", "--quiet", "--no-deps"]
            subprocess.run(
                [*install, "--require-hashes", "--requirement", str(lock)],
                check=True,
                timeout=INSTALL_SECONDS,
            )
            ready.touch()
    return interpreter


def is_here(requirements: Path) -> bool:
    """Return whether the environment has been installed."""
    return (_target(requirements) / READY).exists()


def _target(requirements: Path) -> Path:
    lock = requirements.with_suffix(".lock")
    tool = requirements.stem.removeprefix("requirements-")
    if requirements.stem == "requirements":  # of an image
        tool = requirements.parent.name
    key = hashlib.sha256(sys.version.encode() + lock.read_bytes())
    return paths.cache() / f"venv-{tool}" / key.hexdigest()[:16]
