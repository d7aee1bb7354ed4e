"""Python tools with pins of their own: an environment each, kept in the cache."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from lab import paths
from lab.locks import locked

INSTALL_SECONDS = 600


def python(requirements: Path) -> Path:
    """The interpreter with exactly these requirements; installs on the first call.

    `requirements-<tool>.txt` lists all packages, as pip freeze does.
    """
    tool = requirements.stem.removeprefix("requirements-")
    key = hashlib.sha256(sys.version.encode() + requirements.read_bytes())
    target = paths.cache() / f"venv-{tool}" / key.hexdigest()[:16]
    interpreter, ready = target / "bin" / "python", target / ".ready"
    if ready.exists():
        return interpreter
    with locked(target.parent / "lock"):
        if not ready.exists():
            venv.create(target, with_pip=True, clear=True)
            install = [str(interpreter), "-m", "pip", "install", "--quiet", "--no-deps"]
            subprocess.run(
                [*install, "--requirement", str(requirements)],
                check=True,
                timeout=INSTALL_SECONDS,
            )
            ready.touch()
    return interpreter
