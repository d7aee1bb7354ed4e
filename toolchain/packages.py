"""Debian packages fetched and unpacked into the cache; nothing is installed here.

An apt with its own lists and its own sources serves: the machine's apt is not touched,
signatures are checked as always.

    toolchain.packages.unpack(["prometheus"], suite="trixie") / "usr/bin/prometheus"
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from toolchain import commands, downloads, paths, whole_files
from toolchain.locks import locked
from toolchain.mirror import KEYRING, DebianMirror

LISTS_FRESH_SECONDS = 24 * 3600.0
TIMEOUT_SECONDS = 600.0
VERSIONS = ".packages.json"
_FILE = re.compile(r"^'[^']+' (\S+\.deb) ", re.MULTILINE)
_URI = re.compile(r"^'([^']+)' (\S+\.deb) \d+ SHA256:([0-9a-f]{64})$", re.MULTILINE)


class Archive(NamedTuple):
    """A package's file, as apt would fetch it: address, name here, SHA-256."""

    url: str
    file: str
    sha256: str

    @property
    def name_and_version(self) -> tuple[str, str]:
        """Of the package; the address lacks the version's epoch."""
        return _name_and_version_in(self.file)


def unpack(names: Sequence[str], suite: str) -> Path:
    """Returns a folder with the content of the named packages of a Debian suite.

    Their dependencies are not in it. Fetched at the first call, then kept;
    `versions(folder)` says what it holds.
    """
    target = location(names, suite)
    if is_here(names, suite):
        return target
    with locked(_root() / "unpacked" / "lock"):
        if is_here(names, suite):
            return target
        with whole_files.made(target) as part:
            part.mkdir()
            debs = _download(names, suite, part / ".debs")
            for deb in debs:
                commands.run(["dpkg-deb", "--extract", deb, part])
            held = dict(_name_and_version(deb) for deb in debs)
            (part / VERSIONS).write_text(json.dumps(held, sort_keys=True))
            shutil.rmtree(part / ".debs")
    return target


def location(names: Sequence[str], suite: str) -> Path:
    """Return the folder of the results of `unpack`."""
    words = " ".join([suite, _architecture(), *sorted(names)])
    key = hashlib.sha256(words.encode()).hexdigest()[:16]
    return _root() / "unpacked" / f"{suite}-{key}"


def is_here(names: Sequence[str], suite: str) -> bool:
    """Return whether the cache has everything that `unpack` needs."""
    return (location(names, suite) / VERSIONS).is_file()


def keep(unpacked: Path, name: str, suite: str, held: Mapping[str, str]) -> None:
    """Moves a package that was unpacked elsewhere to where `unpack` looks for it.

    `held` has the version of each package that is in the folder.
    """
    target = location([name], suite)
    with locked(_root() / "unpacked" / "lock"):
        (unpacked / VERSIONS).write_text(json.dumps(held, sort_keys=True))
        with whole_files.made(target) as part:
            shutil.move(unpacked, part)


def has_apt() -> bool:
    """Return whether this machine can fetch and check packages of Debian."""
    programs = all(shutil.which(name) for name in ("apt-get", "dpkg", "dpkg-deb"))
    return programs and Path(KEYRING).is_file()


def versions(folder: Path) -> dict[str, str]:
    """Version by package of a folder that `unpack` gave."""
    held: dict[str, str] = json.loads((folder / VERSIONS).read_text())
    return held


def download_with_dependencies(
    names: Sequence[str], suite: str, status: Path, target: Path
) -> None:
    """Fetches packages and what they need on a system with that dpkg status file."""
    archives = target / "archives"
    (archives / "partial").mkdir(parents=True)
    install = ["--option", f"Dir::State::Status={status}"]
    install += ["--option", f"Dir::Cache::Archives={archives}", "--download-only"]
    install += ["--yes", "--no-install-recommends", "install", *names]
    with locked(_apt_folder(suite) / "lock"):
        apt = _isolated_apt(suite)
        commands.run([*apt, *install], timeout_seconds=TIMEOUT_SECONDS)
    for deb in archives.glob("*.deb"):
        deb.rename(target / deb.name)
    shutil.rmtree(archives)


def available(suite: str, architecture: str) -> str:
    """All packages of a suite, each as a block of apt's `Packages`."""
    apt = ["apt-cache", *_looked_up(suite, architecture)[1:]]
    return commands.run([*apt, "dumpavail"])


def with_dependencies(names: Sequence[str], suite: str, architecture: str) -> list[str]:
    """The packages, as name=version, that an empty system needs to have these."""
    install = ["--print-uris", "--no-install-recommends", "--yes", "install", *names]
    apt = _looked_up(suite, architecture)
    said = commands.run([*apt, *install], timeout_seconds=TIMEOUT_SECONDS)
    return ["=".join(_name_and_version_in(file)) for file in _FILE.findall(said)]


def archives(names: Sequence[str], suite: str, architecture: str) -> list[Archive]:
    """Return apt's addresses of a suite's packages, by name or name=version."""
    download = ["--print-uris", "download", *names]
    apt = _looked_up(suite, architecture)
    said = commands.run([*apt, *download], timeout_seconds=TIMEOUT_SECONDS)
    return [Archive(*match) for match in _URI.findall(said)]


def forget_lists(suite: str, architecture: str) -> None:
    """Make apt query the mirror again at the next look, however fresh its lists are."""
    with locked(_apt_folder(suite, architecture) / "lock"):
        _stamp(suite, architecture).unlink(missing_ok=True)


def _stamp(suite: str, architecture: str) -> Path:
    """The file that is as old as apt's lists."""
    return _apt_folder(suite, architecture) / "updated"


def _name_and_version_in(file: str) -> tuple[str, str]:
    name, version, _ = unquote(file).split("_")
    return name, version


def _looked_up(suite: str, architecture: str) -> list[str]:
    with locked(_apt_folder(suite, architecture) / "lock"):
        return _isolated_apt(suite, architecture)


def _root() -> Path:
    return paths.cache() / "debian"


def _architecture() -> str:
    if shutil.which("dpkg") is None:
        return downloads.architecture()  # Debian's name is the same as Go's
    return commands.run(["dpkg", "--print-architecture"]).strip()


def _name_and_version(deb: Path) -> tuple[str, str]:
    shown = commands.run(["dpkg-deb", "--show", deb]).split()
    return shown[0], shown[1]


def _download(names: Sequence[str], suite: str, target: Path) -> list[Path]:
    target.mkdir()
    wanted = [f"{name}/{suite}" for name in names]
    with locked(_apt_folder(suite) / "lock"):
        apt = _isolated_apt(suite)
        commands.run(
            [*apt, "download", *wanted], cwd=target, timeout_seconds=TIMEOUT_SECONDS
        )
    return sorted(target.glob("*.deb"))


def _apt_folder(suite: str, architecture: str = "") -> Path:
    return _root() / "apt" / "-".join(filter(None, [suite, architecture]))


def _isolated_apt(suite: str, architecture: str = "") -> list[str]:
    """Options of an apt whose lists hold one suite and are at most a day old.

    `architecture`: another than this machine's, to look things up.
    """
    folder = _apt_folder(suite, architecture)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("lists/partial", "cache/archives/partial", "state"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    sources = folder / "sources.list"
    status = folder / "state" / "status"
    status.touch()
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/nonexistent",
        "Dir::State": folder / "state",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::Status": status,
        "Dir::Cache": folder / "cache",
        # apt's own user could not write into a folder below root's home.
        "APT::Sandbox::User": "root",
    }
    if architecture:
        options |= {"APT::Architecture": architecture}
        options |= {"APT::Architectures": architecture}
    apt = ["apt-get", "--quiet"]
    for key, value in options.items():
        apt += ["--option", f"{key}={value}"]
    stamp = _stamp(suite, architecture)
    text = DebianMirror.of_this_machine().sources(suite)
    fresh = (
        stamp.is_file()
        and sources.read_text() == text
        and time.time() - stamp.stat().st_mtime < LISTS_FRESH_SECONDS
    )
    if not fresh:
        sources.write_text(text)
        commands.run([*apt, "update"], timeout_seconds=TIMEOUT_SECONDS)
        stamp.touch()
    return apt
