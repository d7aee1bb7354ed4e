"""Builds the Go programs of `lab/binaries` into the user's cache folder.

A group's result is kept under a key made of its lock files, its entry in groups.toml
and the Go toolchain, so that it is built once per machine and rebuilt when any of them
changes. Only binaries are kept: Go's own caches grow to 20 GB over all groups, so they
are deleted once they pass `GO_CACHE_LIMIT_BYTES` and when the last group stands.

    python -m lab.builds [GROUP ...]
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import paths

SOURCES = paths.ROOT / "lab" / "binaries"
GO_CACHE_LIMIT_BYTES = 9 * 10**9
GO_MINIMUM = (1, 26)

Report = Callable[[str, int, int], None]
"""Called with (group, packages compiled, packages in all) as a build goes on."""


class BuildError(Exception):
    """A group could not be built; the text says which, why and what to do."""


@dataclass(frozen=True)
class Group:
    """One entry of groups.toml: programs built together from one go.mod."""

    name: str
    packages: tuple[str, ...]
    binaries: tuple[str, ...]
    module: str = ""
    release: str = ""
    ldflags: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    embed: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    on_demand: bool = False

    @property
    def source(self) -> Path:
        """The group's folder in the checkout: go.mod, go.sum and perhaps main.go."""
        return SOURCES / self.name

    @property
    def folder(self) -> Path:
        """Where the result lies: `bin/` and `files/`."""
        return paths.cache() / "binaries" / self.name / self.key()

    @property
    def is_built(self) -> bool:
        return (self.folder / "build.json").is_file()

    def binary(self, name: str) -> Path:
        """Path of one of the group's binaries, built or not."""
        if name not in self.binaries:
            raise KeyError(f"{name} is not a binary of group {self.name}")
        return self.folder / "bin" / name

    def version(self) -> str:
        """Version of the group's module as its go.mod pins it, such as `v1.36.3`."""
        if self.release or not self.module:
            return self.release or "v0.0.0"
        for line in (self.source / "go.mod").read_text().splitlines():
            words = line.removeprefix("require ").split()
            if len(words) >= 2 and words[0] == self.module:
                return words[1]
        raise BuildError(f"{self.source}/go.mod does not require {self.module}")

    def key(self) -> str:
        """Digest of all that decides the result."""
        digest = hashlib.sha256()
        for path in sorted(p for p in self.source.iterdir() if p.is_file()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        digest.update(json.dumps(_table()[self.name], sort_keys=True).encode())
        digest.update(f"{go_version()} {os.uname().machine}".encode())
        return digest.hexdigest()[:16]

    def expand(self, text: str) -> str:
        version = self.version()
        major, minor, *_ = [*version.removeprefix("v").split("."), "0"]
        return (
            text.replace("{version}", version)
            .replace("{semver}", version.removeprefix("v"))
            .replace("{major}", major)
            .replace("{minor}", minor)
        )


def _table() -> dict[str, Any]:
    return tomllib.loads((SOURCES / "groups.toml").read_text())


def groups() -> dict[str, Group]:
    """All groups of groups.toml by name, in the order of the file."""
    return {
        name: Group(name=name, **{k: _frozen(v) for k, v in entry.items()})
        for name, entry in _table().items()
    }


def of_the_lab() -> list[str]:
    """Names of the groups that the lab itself needs; the others are built on demand."""
    return [name for name, group in groups().items() if not group.on_demand]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def group(name: str) -> Group:
    """The group of that name; KeyError if there is none."""
    return groups()[name]


_go_version = ""


def go_version() -> str:
    """The toolchain's version, such as `go1.26.8`; BuildError if it does not serve."""
    global _go_version
    if _go_version:
        return _go_version
    go = shutil.which("go")
    if go is None:
        raise BuildError(
            "go is not on PATH; the lab's programs are built from Go modules: install "
            f"Go {GO_MINIMUM[0]}.{GO_MINIMUM[1]} or newer and run again"
        )
    version = subprocess.run(
        [go, "env", "GOVERSION"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "GOTOOLCHAIN": "local"},
    ).stdout.strip()
    numbers = tuple(int(n) for n in version.removeprefix("go").split(".")[:2])
    if numbers < GO_MINIMUM:
        raise BuildError(
            f"{go} is {version}; the pinned modules need "
            f"go{GO_MINIMUM[0]}.{GO_MINIMUM[1]} or newer"
        )
    _go_version = version
    return version


def _caches() -> Path:
    return paths.cache() / "build"


def _environment() -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if k != "GOFLAGS"}
    return environment | {
        "GOCACHE": str(_caches() / "go-build"),
        "GOMODCACHE": str(_caches() / "mod"),
        # -modcacherw: Go makes its module cache read-only, which rmtree stumbles on.
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }


def _go(arguments: list[str], work: Path) -> str:
    done = subprocess.run(
        ["go", *arguments],
        check=False,
        cwd=work,
        env=_environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BuildError(
            f"go {' '.join(arguments)} failed in {work}:\n{done.stderr.strip()}"
        )
    return done.stdout


def _module_folder(group: Group, work: Path) -> Path:
    _go(["mod", "download", group.module], work)
    return Path(_go(["list", "-m", "-f", "{{.Dir}}", group.module], work).strip())


def _embed(group: Group, work: Path) -> None:
    """Writes the files that the group's main.go embeds, from the module's own ones."""
    for name, rule in group.embed.items():
        content = json.loads((_module_folder(group, work) / rule["from"]).read_text())
        for key, value in rule.get("set", {}).items():
            content[key] = group.expand(value)
        (work / name).write_text(json.dumps(content, separators=(",", ":")))


def _compile(group: Group, work: Path, output: Path, report: Report) -> None:
    flags = ["-trimpath", "-buildvcs=false"]
    flags += ["-ldflags", " ".join(["-s -w", *map(group.expand, group.ldflags)])]
    flags += ["-tags", ",".join(group.tags)] if group.tags else []
    total = len(_go(["list", "-deps", *flags[-2:], *group.packages], work).split())
    lines: list[str] = []
    with subprocess.Popen(
        ["go", "build", "-v", *flags, "-o", f"{output}/", *group.packages],
        cwd=work,
        env=_environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for count, line in enumerate(process.stderr, start=1):
            lines.append(line)
            report(group.name, min(count, total), total)
    if process.returncode:
        raise BuildError(
            f"{group.name} did not build ({group.source}/go.mod):\n"
            + "".join(lines[-30:])
        )


def build(group: Group, report: Report = lambda *_: None) -> float:
    """Builds one group unless its result stands; returns the seconds that it took.

    Raises BuildError with the compiler's last lines. An interrupted build leaves no
    result behind and is repaired by running again.
    """
    if group.is_built:
        return 0.0
    start = time.monotonic()
    go_version()
    with _lock():
        if group.is_built:  # another process built it while this one waited
            return time.monotonic() - start
        part = group.folder.with_name(group.folder.name + ".part")
        work = _caches() / "work" / group.name
        for folder in (part, work):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(group.source, work)
        (part / "bin").mkdir(parents=True)
        _embed(group, work)
        if group.packages:
            _compile(group, work, part / "bin", report)
        if group.packages == (".",):
            (part / "bin" / group.name).rename(part / "bin" / group.binaries[0])
        for name, source in group.files.items():
            _copy(_module_folder(group, work) / source, part / "files" / name)
        missing = [b for b in group.binaries if not (part / "bin" / b).is_file()]
        if missing:
            raise BuildError(f"{group.name}: go build left no {', '.join(missing)}")
        seconds = time.monotonic() - start
        (part / "build.json").write_text(
            json.dumps({"version": group.version(), "seconds": round(seconds, 1)})
        )
        shutil.rmtree(group.folder, ignore_errors=True)
        part.rename(group.folder)
        if _size(_caches()) > GO_CACHE_LIMIT_BYTES:
            shutil.rmtree(_caches(), ignore_errors=True)
    return seconds


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def _size(folder: Path) -> int:
    size = 0
    for root, _, names in os.walk(folder):
        size += sum(Path(root, name).lstat().st_size for name in names)
    return size


@contextmanager
def _lock() -> Iterator[None]:
    """One build at a time per user: two would fight over cores and the caches."""
    paths.cache().mkdir(parents=True, exist_ok=True)
    with (paths.cache() / "build.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build_all(
    names: Iterable[str], report: Report = lambda *_: None
) -> dict[str, float]:
    """Builds the named groups in order; returns seconds by group, 0.0 where cached.

    Go's caches are deleted at the end, so that only the binaries stay.
    """
    seconds = {name: build(group(name), report) for name in names}
    if any(seconds.values()):
        with _lock():
            shutil.rmtree(_caches(), ignore_errors=True)
    return seconds


def _print_progress(name: str, done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        print(f"{name}: {done}/{total} packages", flush=True)


def main(arguments: list[str]) -> int:
    try:
        for name, took in build_all(arguments or of_the_lab(), _print_progress).items():
            print(f"{name}: {'cached' if not took else f'{took:.0f} s'}", flush=True)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
