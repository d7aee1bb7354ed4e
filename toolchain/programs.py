"""Where the Go programs of `toolchain/binaries` come from: one policy for all of them.

A group's programs are taken from PATH if all of them are there in a version that
suits; else they are downloaded from their publisher; where the publisher does not
answer within seconds, they are built from their Go modules (`toolchain.builds`).
`SLIPWAY_PROGRAMS` chooses one way: `download` or `build`; `auto` tries all.

    programs.get("kubernetes").binary("kubectl")
    python -m toolchain.programs
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from toolchain import builds, downloads, elf, go, paths, whole_files
from toolchain.builds import BuildError, Group, Report
from toolchain.downloads import DownloadError, NoAnswerError, Say
from toolchain.locks import locked

VARIABLE = "SLIPWAY_PROGRAMS"
ASK_AGAIN_SECONDS = 3600.0
"""After a host did not answer, no request is sent to it for so long."""
VERSION_SECONDS = 20.0
WAIT_SECONDS = 7200.0
"""For another process that downloads: longer than all files of a group may take."""
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")

Version = tuple[int, ...]


class Source(StrEnum):
    """A source of programs."""

    PATH = "PATH"
    DOWNLOAD = "download"
    BUILD = "build"


SOURCES = {
    "auto": (Source.PATH, Source.DOWNLOAD, Source.BUILD),
    "download": (Source.DOWNLOAD,),
    "build": (Source.BUILD,),
}
"""Sources of each value of `SLIPWAY_PROGRAMS`, in the order of attempts."""


@dataclass(frozen=True)
class Programs:
    """A group's programs on this machine."""

    group: Group
    source: Source
    files: Mapping[str, Path]
    """Path by name of the program."""
    identity: str
    """Changes with their content."""
    seconds: float = 0.0
    """Seconds that obtaining them took just now; 0.0 if they existed."""

    def binary(self, name: str) -> Path:
        """Path of one program; KeyError if the group has none of that name."""
        return self.files[name]


def allowed_sources() -> tuple[Source, ...]:
    """The sources to try, as the user chose; BuildError if the choice is unknown."""
    chosen = os.environ.get(VARIABLE, "") or "auto"
    if chosen not in SOURCES:
        raise BuildError(
            f"{VARIABLE} is {chosen!r}; it takes {', '.join(SOURCES)} (default: auto)"
        )
    return SOURCES[chosen]


def _sources(group: Group) -> tuple[Source, ...]:
    """Those of a group: what its publisher does not offer is built in any case."""
    return allowed_sources() if group.download else (Source.BUILD,)


def _ignore_progress(*_: Any) -> None:
    pass


def find(name: str) -> Programs | None:
    """A group's programs if they exist here; nothing is downloaded or built."""
    group = builds.group(name)
    for source in _sources(group):
        if found := _FINDERS[source](group):
            return found
    return None


def obstacle(name: str) -> str:
    """Return what this machine lacks to obtain a group's programs; empty if nothing.

    Only the download shows whether the publisher responds.
    """
    if find(name) or Source.DOWNLOAD in _sources(builds.group(name)):
        return ""
    try:
        go.version()
    except BuildError as error:
        return str(error)
    return ""


def get(
    name: str, say: Say = _ignore_progress, report: Report = _ignore_progress
) -> Programs:
    """A group's programs, obtained if they do not exist here; see `get_all`."""
    return get_all([name], say, report)[name]


def get_all(
    names: Iterable[str], say: Say = _ignore_progress, report: Report = _ignore_progress
) -> dict[str, Programs]:
    """The programs of the named groups, by group.

    `say` receives where they come from and why, `report` the progress of builds.
    Raises BuildError with all that was tried.
    """
    found: dict[str, Programs] = {}
    tried: dict[str, str] = {}
    unbuilt: list[str] = []
    for name in names:
        if standing := find(name):
            found[name] = standing
            continue
        group = builds.group(name)
        try:
            if Source.DOWNLOAD in _sources(group):
                found[name] = _download(group, say)
                continue
        except DownloadError as error:
            tried[name] = str(error)
            if Source.BUILD not in _sources(group):
                raise BuildError(
                    f"{name} {group.version()} could not be downloaded: {error}. "
                    f"Without {VARIABLE}=download it is built from its Go module"
                ) from None
        unbuilt.append(name)
    return found | _build(unbuilt, tried, say, report)


def _build(
    names: Sequence[str], tried: Mapping[str, str], say: Say, report: Report
) -> dict[str, Programs]:
    """Builds groups; `tried` has the reason for those that could not be downloaded."""
    for name in names:
        why = f"{tried[name]}; " if name in tried else ""
        say(f"{name} {builds.group(name).version()}: {why}building from its Go module")
    try:
        seconds = builds.build_all(names, report)
    except BuildError as error:
        reasons = "; ".join(dict.fromkeys(tried[n] for n in names if n in tried))
        raise BuildError(f"{reasons}; and {error}" if reasons else str(error)) from None
    return {name: _of_build(builds.group(name), seconds[name]) for name in names}


def _of_build(group: Group, seconds: float = 0.0) -> Programs:
    files = {name: group.binary(name) for name in group.binaries}
    return Programs(group, Source.BUILD, files, group.key(), seconds)


def _find_build(group: Group) -> Programs | None:
    try:
        return _of_build(group) if group.is_built else None
    except BuildError:  # no Go: then there is no key to look under
        return None


# From PATH


def _find_on_path(group: Group) -> Programs | None:
    """Return all of the group's programs from PATH, or none of them."""
    files = {name: shutil.which(name) for name in group.versions}
    if not files or not all(files.values()):
        return None
    found = {name: Path(file) for name, file in files.items() if file}
    if not group.runs_here:
        # Hosts and images have none of this machine's libraries.
        found = {name: path.resolve() for name, path in found.items()}
        if not all(elf.is_static(path) for path in found.values()):
            return None
    times = {name: path.stat().st_mtime_ns for name, path in found.items()}
    wanted = _numbers(group.version())
    for name, path in found.items():
        has = _version(path, group.versions[name], times[name])
        if not suits(has, wanted, newer=group.runs_here):
            return None
    words = json.dumps([sorted(times.items()), [str(p) for p in found.values()]])
    identity = hashlib.sha256(words.encode()).hexdigest()[:16]
    return Programs(group, Source.PATH, found, f"PATH {identity}")


def suits(has: Version | None, wanted: Version | None, *, newer: bool) -> bool:
    """Return whether a program of one version may replace another.

    The versions must be equal; with `newer`, a later minor version of the same major
    version is also accepted.
    """
    if has is None or wanted is None:
        return False
    if newer:
        return has[0] == wanted[0] and has[1] >= wanted[1]
    return has == wanted


def _numbers(text: str) -> Version | None:
    match = _VERSION.search(text)
    return tuple(int(number) for number in match.groups()) if match else None


@functools.lru_cache(maxsize=64)
def _version(path: Path, arguments: tuple[str, ...], _: int) -> Version | None:
    """The version that a program prints; it is asked once for each time of change."""
    try:
        shown = subprocess.run(
            [path, *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS,
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return _numbers(shown.stdout + shown.stderr)


# From the publisher


def _download_folder(group: Group) -> Path:
    words = [group.download, group.version(), downloads.architecture()]
    key = hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]
    return paths.cache() / "downloads" / group.name / key


def _find_download(group: Group) -> Programs | None:
    folder = _download_folder(group)
    if not (folder / "download.json").is_file():
        return None
    return _of_download(group, folder)


def _of_download(group: Group, folder: Path, seconds: float = 0.0) -> Programs:
    files = {name: folder / "bin" / name for name in group.binaries}
    identity = f"download {folder.name}"
    return Programs(group, Source.DOWNLOAD, files, identity, seconds)


def _download(group: Group, say: Say) -> Programs:
    """Downloads a group's programs; DownloadError says why it could not."""
    offer = downloads.Download(**group.download)
    folder = _download_folder(group)
    start = time.monotonic()
    with locked(paths.cache() / "downloads" / "lock", WAIT_SECONDS):
        if found := _find_download(group):  # another process was quicker
            return found
        if reason := _silent_hosts().get(offer.host):
            raise NoAnswerError(reason)
        name = f"{group.name} {group.version()}"
        say(f"{name}: downloading from {offer.host}")
        with whole_files.made(folder) as part:
            (part / "bin").mkdir(parents=True)
            try:
                fetched = downloads.fetch(
                    offer, group.binaries, group.expand, part / "bin", say
                )
            except NoAnswerError as error:
                _remember_silence(offer.host, str(error))
                raise
            size = paths.size_bytes(part) / 1e6
            record = {"version": group.version(), "sha256": fetched}
            (part / "download.json").write_text(json.dumps(record, indent=1))
    seconds = time.monotonic() - start
    say(f"{name}: downloaded and checked, {size:.0f} MB in {seconds:.0f} s")
    return _of_download(group, folder, max(seconds, 0.1))


def _memory() -> Path:
    return paths.cache() / "downloads" / "silent-hosts.json"


def _held() -> dict[str, Any]:
    try:
        held: dict[str, Any] = json.loads(_memory().read_text())
    except (OSError, ValueError):
        return {}
    return held


def _silent_hosts() -> dict[str, str]:
    """Hosts that did not answer lately, and how that was said."""
    now = time.time()
    return {
        host: str(entry["reason"])
        for host, entry in _held().items()
        if 0 <= now - entry["at"] < ASK_AGAIN_SECONDS
    }


def _remember_silence(host: str, reason: str) -> None:
    held = {**_held(), host: {"reason": reason, "at": time.time()}}
    whole_files.write(_memory(), json.dumps(held))


_FINDERS = {
    Source.PATH: _find_on_path,
    Source.DOWNLOAD: _find_download,
    Source.BUILD: _find_build,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m toolchain.programs",
        description="Get the lab's Go programs and show where they come from.",
        epilog=f"{VARIABLE}={'|'.join(SOURCES)} chooses the way (default: auto).",
    )
    parser.add_argument(
        "groups",
        nargs="*",
        metavar="GROUP",
        help="a folder of toolchain/binaries; default: those that the lab needs",
    )
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.groups if name not in builds.groups()]:
        known = ", ".join(builds.groups())
        parser.error(f"no group {', '.join(unknown)}; there are {known}")
    names = given.groups or builds.of_the_lab()
    try:
        for name, got in get_all(names, print, builds.print_progress).items():
            took = f"{got.seconds:.0f} s" if got.seconds else "there already"
            print(f"{name} {got.group.version()}: {got.source}, {took}")
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
