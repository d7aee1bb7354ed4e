"""Removes all that the project keeps on this machine; standard library only.

python3 -m devtools.clean
"""

from __future__ import annotations

import shutil
import subprocess
import sys

from toolchain import paths

GENERATED = (".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis")


def main() -> int:
    python = paths.ROOT / ".venv" / "bin" / "python"
    if paths.state().exists() and python.exists():
        # Hosts that run keep their disks mounted: stop them before anything goes.
        done = subprocess.run([python, "-m", "lab", "wipe", "--all"], check=False)
        if done.returncode:
            print("error: the lab could not be stopped, so nothing was removed")
            return 1
    total = 0
    targets = [paths.cache(), paths.state()]
    targets += [paths.ROOT / name for name in (*GENERATED, "rendered")]
    for target in targets:
        if target.is_symlink():
            target.unlink()
        elif target.exists():
            size = paths.size_bytes(target)
            shutil.rmtree(target)
            total += size
            print(f"removed {target} ({size / 1e6:,.0f} MB)")
    print(f"{total / 1e9:.2f} GB freed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
