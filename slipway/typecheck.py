"""Runs mypy over the packages and over each image's program by itself.

An image's program is a package of its own root (it runs alone in its container), so it
is checked from its own folder.

    python -m slipway.typecheck
"""

from __future__ import annotations

import subprocess
import sys

from lab import paths

PACKAGES = ("lab", "slipway", "components", "stacks", "benchmarks")


def main() -> int:
    mypy = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"]
    targets = [name for name in PACKAGES if (paths.ROOT / name).is_dir()]
    status = subprocess.run([*mypy, *targets], cwd=paths.ROOT, check=False).returncode
    for folder in sorted(paths.ROOT.glob("images/*/")):
        if any(folder.rglob("*.py")):
            print(f"{folder.relative_to(paths.ROOT)}: ", end="", flush=True)
            run = [*mypy[:-1], str(paths.ROOT / "pyproject.toml"), "."]
            status |= subprocess.run(run, cwd=folder, check=False).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
