"""Compiles tree_masks.c: `python build.py HEADERS TARGET` with ziglang installed.

HEADERS holds Python's C headers as Debian's libpython3.11-dev has them in usr/include.
The module uses the stable ABI, so one file serves every Python from 3.11 on. Zig's C
compiler brings its own headers and stubs of glibc, so the machine needs no compiler and
the same sources give the same bytes anywhere.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

GLIBC = "2.31"
"""The oldest that onnxruntime's wheels and Debian bookworm's successors can have."""
OPTIONS = (
    *("-std=c11", "-O2", "-s", "-fPIC", "-shared"),
    *("-Wall", "-Wextra", "-Werror"),
)


def compile_extension(headers: Path, target: Path) -> None:
    """Write the module for this machine's architecture on Linux with glibc."""
    machine = platform.machine()
    includes = ("", "python3.11", f"{machine}-linux-gnu")
    command = [sys.executable, "-m", "ziglang", "cc", *OPTIONS]
    command += ["-target", f"{machine}-linux-gnu.{GLIBC}", "-mcpu=baseline"]
    command += [f"-I{headers / name}" for name in includes]
    command += ["tree_masks.c", "-o", str(target.absolute())]
    with tempfile.TemporaryDirectory() as cache:
        caches = {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
        subprocess.run(
            command,
            cwd=Path(__file__).parent,
            env=os.environ | caches,
            check=True,
            timeout=600,
        )


if __name__ == "__main__":
    compile_extension(Path(sys.argv[1]), Path(sys.argv[2]))
