"""Makes the Python environment that everything else runs in; standard library only.

The environment is in the user's cache folder under a key of its lock files, so that
a second clone finds it ready; `.venv` in the checkout is a link to it.

    python3 -m devtools.environment
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

from toolchain import paths

LOCK = "requirements-dev.lock"
"""Every distribution with its hashes; `make lock` writes it."""
PYTHON_MINIMUM = (3, 11)

# The command finds the checkout by its Pulumi.yaml, so that one environment serves
# every clone on the machine.
SCRIPT = """#!{python}
import sys
from pathlib import Path

here = Path.cwd()
for folder in (here, *here.parents):
    if (folder / "Pulumi.yaml").is_file() and (folder / "slipway").is_dir():
        sys.path.insert(0, str(folder))
        break
else:
    sys.exit(f"slipway: {{here}} is not inside a Slipway checkout (no Pulumi.yaml)")
from slipway.cli import main

main()
"""


def folder() -> Path:
    """Return the folder of the current lock files' environment."""
    digest = hashlib.sha256(f"{sys.version} {SCRIPT}".encode())
    digest.update((paths.ROOT / LOCK).read_bytes())
    return paths.cache() / "venv" / digest.hexdigest()[:16]


def create(target: Path) -> None:
    """Installs the pinned requirements into a new environment at `target`."""
    # A venv cannot be moved, so it is made in place; .ready says that it is whole.
    shutil.rmtree(target, ignore_errors=True)
    venv.create(target, with_pip=True, symlinks=True)
    python = target / "bin" / "python"
    # Compiling all that is there would take most of the time; few files are imported.
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"]
    hashed = ["--require-hashes", "--requirement", str(paths.ROOT / LOCK)]
    subprocess.run([*pip, *hashed], check=True)
    script = target / "bin" / "slipway"
    script.write_text(SCRIPT.format(python=python))
    script.chmod(0o755)
    (target / ".ready").touch()


def main() -> int:
    if sys.version_info < PYTHON_MINIMUM:
        need = ".".join(map(str, PYTHON_MINIMUM))
        print(f"error: Python {need} or newer is needed, this is {sys.version}")
        return 1
    target = folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / "lock", "w") as handle:  # noqa: PTH123
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not (target / ".ready").exists():
            start = time.monotonic()
            print(f"Python environment: installing into {target} ...", flush=True)
            try:
                create(target)
            except subprocess.CalledProcessError as error:
                print(f"error: pip ended with {error.returncode}; see its lines above")
                return 1
            print(f"Python environment: {time.monotonic() - start:.0f} s", flush=True)
    link = paths.ROOT / ".venv"
    if link.is_dir() and not link.is_symlink():
        print(
            f"error: {link} is a folder that Slipway did not create; move it away "
            "and run again"
        )
        return 1
    if not link.is_symlink() or link.readlink() != target:
        new = paths.ROOT / ".venv.new"
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.replace(link)
    return 0


if __name__ == "__main__":
    sys.exit(main())
