"""Locks Python distributions: versions for pip's constraints, hashes for installations.

`requirements-dev.txt` is resolved into `constraints.txt`. A version that stands there
stays while it suits, so that a run without changes changes nothing; `--upgrade` takes
the newest of everything that is not pinned directly. Beside each `requirements*.txt`
that is installed, a `.lock` file holds every distribution with the sha256 of each of
its files; pip refuses a file that is not listed. Needs a package index with hashes
(https://peps.python.org/pep-0503/); uv takes it from UV_INDEX.

    python -m devtools.lock [--upgrade]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from toolchain import own_venv, paths

ALL = paths.ROOT / "requirements-dev.txt"
CONSTRAINTS = paths.ROOT / "constraints.txt"
UV = paths.ROOT / "toolchain" / "requirements-uv.txt"
HEAD = "# Every distribution that requirements-dev.txt resolves to, by `make lock`.\n"
HASHES_HEAD = "# Distributions of {name} with their files' sha256, by `make lock`.\n"
PYTHON, PYTHON_OF_TOOLS = "3.11", "3.11.9"
"""The oldest Python that the locks are for."""


def whole() -> list[Path]:
    """Files that list all distributions of an environment, dependencies too."""
    direct = {ALL, paths.ROOT / "requirements.txt"}
    places = ("*/requirements*.txt", "*/*/requirements*.txt")
    found = {file for place in places for file in paths.ROOT.glob(place)}
    return sorted(found - direct)


def lock_of(requirements: Path) -> Path:
    """The file with the hashes of a requirements file."""
    return requirements.with_suffix(".lock")


def _uv(python: str, *arguments: str | Path) -> str:
    """Return the output of `uv pip compile` for every platform from that Python on."""
    command = [str(own_venv.python(UV)), "-m", "uv", "pip", "compile", "--quiet"]
    command += ["--no-header", "--no-annotate", "--universal"]
    command += ["--python-version", python, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def resolve(*, upgrade: bool = False) -> str:
    """A resolution of the direct pins: a line `name==version` for each."""
    with tempfile.TemporaryDirectory() as folder:
        # uv prefers the versions of the output file that it finds.
        output = Path(folder) / CONSTRAINTS.name
        if CONSTRAINTS.is_file() and not upgrade:
            output.write_text(CONSTRAINTS.read_text())
        for file in (paths.ROOT / "requirements.txt", ALL):
            text = file.read_text().replace("-c constraints.txt", "")
            (Path(folder) / file.name).write_text(text)
        _uv(PYTHON, Path(folder) / ALL.name, "--output-file", output)
        return output.read_text()


def hashes(requirements: Path) -> str:
    """The text of a lock file."""
    head = HASHES_HEAD.format(name=requirements.name)
    if requirements == ALL:
        return head + _uv(PYTHON, "--generate-hashes", requirements)
    return head + _uv(PYTHON_OF_TOOLS, "--generate-hashes", "--no-deps", requirements)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m devtools.lock")
    parser.add_argument(
        "--upgrade", action="store_true", help="take the newest of what others need"
    )
    CONSTRAINTS.write_text(HEAD + resolve(upgrade=parser.parse_args(arguments).upgrade))
    print(f"{CONSTRAINTS.name}: written")
    for file in (ALL, *whole()):
        lock = lock_of(file)
        lock.write_text(hashes(file))
        print(f"{lock.relative_to(paths.ROOT)}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
