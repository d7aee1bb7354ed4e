"""`python -m benchmarks.programs REVISION`: what building the lab's programs costs.

Builds them twice with empty caches, by the code and pins of this checkout and by those
of a revision of it, and compares the CPU seconds of all processes of each. Takes half
an hour and 15 GB of disk. Modules are downloaded twice, which costs CPU time as well.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolchain import paths

AIM = 0.6
"""Times the CPU seconds that the pins of 2026-11-23 took (revision e618f0c)."""


@dataclass(frozen=True)
class Cost:
    """Of one build, in seconds; CPU time of all its processes."""

    cpu: float
    wall: float


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _module(checkout: Path) -> str:
    """What builds a revision's programs; until 2026-11-29 it was a part of the lab."""
    return "lab.builds" if (checkout / "lab/builds.py").exists() else "toolchain.builds"


def build(checkout: Path, groups: Sequence[str]) -> Cost:
    """Builds a checkout's programs in a cache of their own, which goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="slipway-programs-") as cache:
        started, before = time.monotonic(), _cpu()
        subprocess.run(
            [sys.executable, "-m", _module(checkout), *groups],
            check=True,
            cwd=checkout,
            env={**os.environ, "XDG_CACHE_HOME": cache},
            stdout=subprocess.DEVNULL,
        )
        return Cost(_cpu() - before, time.monotonic() - started)


@contextmanager
def revision(name: str) -> Iterator[Path]:
    """The files of a revision of this repository, for a while."""
    with tempfile.TemporaryDirectory(prefix="slipway-revision-") as folder:
        git = ["git", "-C", str(paths.ROOT), "archive", name]
        archive = subprocess.run(git, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], check=True, input=archive)
        yield Path(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.programs", description=__doc__
    )
    parser.add_argument("revision", help="what to compare with: a commit, a tag")
    parser.add_argument("groups", nargs="*", help="Go programs; default: the lab's")
    given = parser.parse_args(arguments)
    with revision(given.revision) as there:
        ours = build(paths.ROOT, given.groups)
        theirs = build(there, given.groups)
    ratio = ours.cpu / theirs.cpu
    for name, cost in (("this checkout", ours), (given.revision, theirs)):
        print(f"{name:14} {cost.cpu:7.0f} CPU s {cost.wall:7.0f} s")
    print(f"ratio          {ratio:7.2f}, aim at most {AIM}")
    return 0 if ratio <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
