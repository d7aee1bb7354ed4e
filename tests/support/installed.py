"""Slipway installed from its wheel, in an environment without the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel and, for its dependencies, the tests' packages."""

    folder: Path

    @property
    def site(self) -> Path:
        """Where the wheel's files lie."""
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name

    def run(self, *words: str, cwd: Path) -> str:
        """What `slipway` prints on standard output; AssertionError if it fails."""
        done = subprocess.run(
            [self.program("slipway"), *words],
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def install(wheel: Path, folder: Path) -> Installed:
    """Installs the wheel alone, from no index."""
    venv.create(folder, with_pip=False, symlinks=True)
    made = Installed(folder)
    python = str(made.program("python"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", python]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", str(wheel)], check=True)
    packages = sysconfig.get_path("purelib")
    (made.site / "dependencies.pth").write_text(f"{packages}\n")
    return made
