"""Runs mypy over the packages and over each program of an image by itself.

An image's program is a package of its own root (it runs alone in its container), so it
is checked from its own folder. mypy's cache is in the user's cache folder, so that
another clone does not start from nothing.

    python -m devtools.typecheck
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from toolchain import paths

PACKAGES = (
    *("toolchain", "lab", "slipway", "components", "stacks", "benchmarks", "devtools"),
    *("models", "examples", "bounded_http", "pod_parts"),
)
PROGRAMS = ("images/*/", "examples/*/")
"""Folders of programs that are roots of their own."""


def _mypy(name: str, folder: Path, targets: Sequence[str]) -> int:
    """The exit status of one run over `targets`, relative to `folder`."""
    words = [sys.executable, "-m", "mypy"]
    words += ["--config-file", str(paths.ROOT / "pyproject.toml")]
    words += ["--cache-dir", str(paths.cache() / "mypy" / name), *targets]
    # What programs beside this one share.
    beside = {} if folder == paths.ROOT else {"MYPYPATH": str(folder.parent)}
    environment = {**os.environ, **beside}
    return subprocess.run(words, cwd=folder, env=environment, check=False).returncode


def main() -> int:
    targets = [name for name in PACKAGES if (paths.ROOT / name).is_dir()]
    status = _mypy("packages", paths.ROOT, targets)
    found = [folder for it in PROGRAMS for folder in sorted(paths.ROOT.glob(it))]
    for folder in found:
        # A package below examples/ has been read with the others.
        if any(folder.rglob("*.py")) and not (folder / "__init__.py").is_file():
            print(f"{folder.relative_to(paths.ROOT)}: ", end="", flush=True)
            status |= _mypy(folder.name, folder, ["."])
    return status


if __name__ == "__main__":
    sys.exit(main())
