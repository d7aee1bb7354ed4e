"""Builds the Go programs of `toolchain/binaries` into the user's cache folder.

A group's result is kept under a key made of its lock files, its entry in groups.toml
and the Go toolchain, so that it is built once per machine and rebuilt when any of them
changes. Groups pin the same versions of the modules that they share, so that each
package is compiled once for all of them. Only binaries are kept: Go's own caches are
deleted once they pass `GO_CACHE_LIMIT_BYTES` and when the last group stands.

    python -m toolchain.builds [--all] [GROUP ...]
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchain import build_times, go, paths, whole_files
from toolchain.build_times import TimeLeft

BuildError = go.BuildError
SOURCES = paths.ROOT / "toolchain" / "binaries"
GO_CACHE_LIMIT_BYTES = 20 * 10**9
DELETED = ".deleted-"
FLAGS = ("-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")
"""The programs are stripped: without debug information the compiler does 0.9 of the
work (docs/decisions/0040)."""
ELSEWHERE = ("download", "versions", "runs_here")
"""Keys of groups.toml for programs that are not built (toolchain/programs.py)."""

Report = Callable[[str, int, int, float | None], None]
"""Called with (group, packages compiled, packages in all, seconds left for all groups
or None if unknown) during a build."""


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
    edit: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    download: dict[str, str] = field(default_factory=dict)
    versions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    runs_here: bool = False
    on_demand: bool = False

    @property
    def source(self) -> Path:
        """The group's folder in the checkout: go.mod, go.sum and perhaps main.go."""
        return SOURCES / self.name

    @property
    def folder(self) -> Path:
        """Return the folder of the result: `bin/` and `files/`."""
        return paths.cache() / "binaries" / self.name / self.key()

    @property
    def system(self) -> str:
        """Where the programs run, by Go's name: here, or in hosts and images."""
        return platform.system().lower() if self.runs_here else "linux"

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

    def pins(self) -> dict[str, str]:
        """Version of each module that go.mod requires, as its replacements leave it."""
        found: dict[str, str] = {}
        replaced: dict[str, str] = {}
        for line in (self.source / "go.mod").read_text().splitlines():
            words = line.partition("//")[0].split()
            if "=>" in words:
                replaced[words[words[0] == "replace"]] = words[-1]
            elif len(words) >= 2 and words[-1].startswith("v"):
                found[words[-2]] = words[-1]
        return {path: replaced.get(path, version) for path, version in found.items()}

    def key(self) -> str:
        """Digest of all that decides the result."""
        digest = hashlib.sha256()
        for path in sorted(p for p in self.source.iterdir() if p.is_file()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        recipe = {k: v for k, v in _table()[self.name].items() if k not in ELSEWHERE}
        digest.update(json.dumps(recipe, sort_keys=True).encode())
        digest.update(f"{go.version()} {os.uname().machine} {FLAGS}".encode())
        return digest.hexdigest()[:16]

    def expand(self, text: str) -> str:
        version = self.version()
        major, minor, *_ = [*version.removeprefix("v").split("."), "0"]
        return (
            text.replace("{version}", version)
            .replace("{system}", self.system)
            .replace("{semver}", version.removeprefix("v"))
            .replace("{major}", major)
            .replace("{minor}", minor)
        )


def _table() -> Mapping[str, Any]:
    file = SOURCES / "groups.toml"
    return _parsed(file, file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _parsed(file: Path, _: int) -> Mapping[str, Any]:
    return tomllib.loads(file.read_text())


def groups() -> dict[str, Group]:
    """All groups of groups.toml by name, in the order of the file."""
    return {name: group(name) for name in _table()}


def of_the_lab() -> list[str]:
    """Names of the groups that the lab itself needs; the others are built on demand."""
    return [name for name, group in groups().items() if not group.on_demand]


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value


def group(name: str) -> Group:
    """The group of that name; KeyError if there is none."""
    return Group(name=name, **{k: _frozen(v) for k, v in _table()[name].items()})


def _module_folder(group: Group, work: Path) -> Path:
    go.run(["mod", "download", group.module], work)
    return Path(go.run(["list", "-m", "-f", "{{.Dir}}", group.module], work).strip())


def _embed(group: Group, work: Path) -> None:
    """Writes the files that the group's main.go embeds, from the module's own ones."""
    for name, rule in group.embed.items():
        content = json.loads((_module_folder(group, work) / rule["from"]).read_text())
        for key, value in rule.get("set", {}).items():
            content[key] = group.expand(value)
        (work / name).write_text(json.dumps(content, separators=(",", ":")))


def _edit(group: Group, work: Path) -> None:
    """Let the build use a copy of the module with some lines changed."""
    if not group.edit:
        return
    copy = work / "module"
    shutil.copytree(_module_folder(group, work), copy)
    for name, changes in group.edit.items():
        content = (copy / name).read_text()
        for old, new in changes.items():
            if old not in content:
                raise BuildError(
                    f"{group.name}: groups.toml edits {name} of {group.module} "
                    f"{group.version()}, which has no {old!r}: is it still needed?"
                )
            content = content.replace(old, new)
        (copy / name).chmod(0o644)
        (copy / name).write_text(content)
    go.run(["mod", "edit", f"-replace={group.module}=./module"], work)


def _compile(
    group: Group, work: Path, output: Path, report: Callable[[int, int], None]
) -> None:
    flags = [*FLAGS]
    flags += ["-ldflags", " ".join(["-s -w", *map(group.expand, group.ldflags)])]
    flags += ["-tags", ",".join(group.tags)] if group.tags else []
    stale = ["-f", "{{if .Stale}}{{.ImportPath}}{{end}}"]
    total = len(
        go.run(["list", "-deps", *stale, *flags, *group.packages], work).split()
    )
    lines: list[str] = []
    with subprocess.Popen(
        ["go", "build", "-v", *flags, "-o", f"{output}/", *group.packages],
        cwd=work,
        env={**go.environment(), "GOOS": group.system},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for count, line in enumerate(process.stderr, start=1):
            lines.append(line)
            report(min(count, total), total)
    if process.returncode:
        raise BuildError(
            f"{group.name} did not build ({group.source}/go.mod):\n"
            + "".join(lines[-30:])
        )


def build(
    group: Group, report: Report = lambda *_: None, left: TimeLeft | None = None
) -> float:
    """Builds one group unless its result stands; returns the seconds that it took.

    `left` estimates the remaining time.

    Raises BuildError with the compiler's last lines. An interrupted build leaves no
    result behind and is repaired by running again.
    """
    if group.is_built:
        return 0.0
    start = time.monotonic()
    go.version()
    left = left or _time_left([group.name])

    def tell(done: int, total: int) -> None:
        report(group.name, done, total, left.at(group.name, done, total))

    with _lock():
        if group.is_built:  # another process built it while this one waited
            return time.monotonic() - start
        with whole_files.made(group.folder) as part:
            seconds = _build(group, part, tell, start)
        if paths.size_bytes(go.caches()) > GO_CACHE_LIMIT_BYTES:
            _delete_caches()
    return seconds


def _build(
    group: Group, part: Path, tell: Callable[[int, int], None], start: float
) -> float:
    """Builds the group into the folder `part`; returns seconds since `start`."""
    work = go.caches() / "work" / group.name
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(group.source, work)
    (part / "bin").mkdir(parents=True)
    _embed(group, work)
    _edit(group, work)
    if group.packages:
        _compile(group, work, part / "bin", tell)
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
    return seconds


def _delete_caches() -> None:
    """Gone for the next build at once; a process of its own deletes the files.

    They are a million small ones, which takes a slow disk minutes. What an earlier
    process left, since it was ended, goes with them.
    """
    caches = go.caches()
    if caches.is_dir():
        caches.rename(caches.with_name(f"{caches.name}{DELETED}{time.time_ns()}"))
    left = [str(it) for it in caches.parent.glob(f"{caches.name}{DELETED}*")]
    if left:
        session = "setsid" if shutil.which("setsid") else ""  # macOS has none
        command = f'{session} nice rm -rf -- "$@" < /dev/null > /dev/null 2>&1 &'
        subprocess.run(["sh", "-c", command, "sh", *left], check=True)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


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
    names = list(names)
    left = _time_left(name for name in names if not group(name).is_built)
    seconds = {name: build(group(name), report, left) for name in names}
    if any(seconds.values()):
        with _lock():
            _delete_caches()
    return seconds


def _time_left(names: Iterable[str]) -> TimeLeft:
    names = list(names)
    found = {name: build_times.earlier(group(name).folder.parent) for name in names}
    return TimeLeft(names, {k: v for k, v in found.items() if v is not None})


def print_progress(name: str, done: int, total: int, left: float | None) -> None:
    """A `Report` for a log: a line now and then."""
    if done % 100 == 0 or done == total:
        then = "" if left is None else f", about {build_times.said(left)} left"
        print(f"{name}: {done}/{total} packages{then}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m toolchain.builds",
        description="Build the lab's Go programs into the cache.",
    )
    parser.add_argument(
        "groups",
        nargs="*",
        metavar="GROUP",
        help="a folder of toolchain/binaries; default: those that the lab needs",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="those as well that tests build on demand; cheaper at once than by turns",
    )
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.groups if name not in groups()]:
        parser.error(f"no group {', '.join(unknown)}; there are {', '.join(groups())}")
    names = list(groups()) if given.all else given.groups or of_the_lab()
    try:
        for name, took in build_all(names, print_progress).items():
            print(f"{name}: {'cached' if not took else f'{took:.0f} s'}", flush=True)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
