"""The Go toolchain as builds run it: which one, with what caches, memory and flags."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from toolchain import paths
from toolchain.errors import OperatorError

GO_MINIMUM = (1, 26)
COMPILER_BYTES = 3 * 2**29
"""Memory for each core's compiler from which on it needs no garbage collection."""


class BuildError(OperatorError):
    """A group could not be built; the text says which, why and what to do."""


_version = ""


def version() -> str:
    """The toolchain's version, such as `go1.26.8`; BuildError if it does not serve."""
    global _version
    if _version:
        return _version
    go = shutil.which("go")
    if go is None:
        raise BuildError(
            "go is not on PATH, which builds programs from Go modules: install Go "
            f"{GO_MINIMUM[0]}.{GO_MINIMUM[1]} or newer and run again"
        )
    found = subprocess.run(
        [go, "env", "GOVERSION"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "GOTOOLCHAIN": "local"},
    ).stdout.strip()
    numbers = tuple(int(n) for n in found.removeprefix("go").split(".")[:2])
    if numbers < GO_MINIMUM:
        raise BuildError(
            f"{go} is {found}; the pinned modules need "
            f"go{GO_MINIMUM[0]}.{GO_MINIMUM[1]} or newer"
        )
    _version = found
    return found


def caches() -> Path:
    """Return Go's folders for modules and compiled packages while groups are built."""
    return paths.cache() / "build"


def _memory() -> dict[str, str]:
    """The compiler's garbage collection, by this machine's memory.

    A compiler process ends within seconds, so collecting is mostly wasted: a third of
    the CPU time (docs/decisions/0040). Half of the memory is for all of them.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    each = memory // 2 // (os.cpu_count() or 1)
    if each < COMPILER_BYTES:
        return {"GOGC": "200"}
    return {"GOGC": "off", "GOMEMLIMIT": str(each)}


def environment() -> dict[str, str]:
    """Variables of a build: the machine's own, but for what decides the result."""
    given = {k: v for k, v in os.environ.items() if k != "GOFLAGS"}
    own = {
        "GOCACHE": str(caches() / "go-build"),
        "GOMODCACHE": str(caches() / "mod"),
        # -modcacherw: Go makes its module cache read-only, which rmtree stumbles on.
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    return _memory() | given | own


def run(arguments: list[str], work: Path) -> str:
    """Return the output of a Go command; BuildError with its errors if it fails."""
    done = subprocess.run(
        ["go", *arguments],
        check=False,
        cwd=work,
        env=environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BuildError(
            f"go {' '.join(arguments)} failed in {work}:\n{done.stderr.strip()}"
        )
    return done.stdout
