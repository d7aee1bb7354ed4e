"""Runs mypy over the packages and over each image's program by itself.

An image's program is a package of its own root (it runs alone in its container), so it
is checked from its own folder. What mypy remembers lies in the user's cache folder, so
that another clone does not begin anew.

    python -m slipway.typecheck
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from toolchain import paths

PACKAGES = ("toolchain", "lab", "slipway", "components", "stacks", "benchmarks")


def _mypy(name: str, folder: Path, targets: Sequence[str]) -> int:
    """The exit status of one run over `targets`, relative to `folder`."""
    words = [sys.executable, "-m", "mypy"]
    words += ["--config-file", str(paths.ROOT / "pyproject.toml")]
    words += ["--cache-dir", str(paths.cache() / "mypy" / name), *targets]
    return subprocess.run(words, cwd=folder, check=False).returncode


def main() -> int:
    targets = [name for name in PACKAGES if (paths.ROOT / name).is_dir()]
    status = _mypy("packages", paths.ROOT, targets)
    for folder in sorted(paths.ROOT.glob("images/*/")):
        if any(folder.rglob("*.py")):
            print(f"{folder.relative_to(paths.ROOT)}: ", end="", flush=True)
            status |= _mypy(folder.name, folder, ["."])
    return status


if __name__ == "__main__":
    sys.exit(main())
