"""Debian packages fetched and unpacked into the cache; nothing is installed here.

An apt with its own lists and its own sources serves: the machine's apt is not touched,
signatures are checked as always.

    toolchain.packages.unpack(["prometheus"], suite="trixie") / "usr/bin/prometheus"
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from toolchain import commands, paths
from toolchain.locks import locked
from toolchain.mirror import DebianMirror

LISTS_FRESH_SECONDS = 24 * 3600.0
TIMEOUT_SECONDS = 600.0


def unpack(names: Sequence[str], suite: str) -> Path:
    """Returns a folder with the content of the named packages of a Debian suite.

    Their dependencies are not in it. Fetched at the first call, then kept;
    `versions(folder)` says what it holds.
    """
    words = " ".join([suite, _architecture(), *sorted(names)])
    key = hashlib.sha256(words.encode()).hexdigest()[:16]
    folder = _root() / "unpacked" / f"{suite}-{key}"
    if (folder / ".packages.json").is_file():
        return folder
    with locked(_root() / "unpacked" / "lock"):
        if (folder / ".packages.json").is_file():
            return folder
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        debs = _download(names, suite, part / ".debs")
        for deb in debs:
            commands.run(["dpkg-deb", "--extract", deb, part])
        held = dict(_name_and_version(deb) for deb in debs)
        (part / ".packages.json").write_text(json.dumps(held, sort_keys=True))
        shutil.rmtree(part / ".debs")
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    return folder


def versions(folder: Path) -> dict[str, str]:
    """Version by package of a folder that `unpack` gave."""
    held: dict[str, str] = json.loads((folder / ".packages.json").read_text())
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
    with locked(_root() / "apt" / suite / "lock"):
        apt = _isolated_apt(suite)
        commands.run([*apt, *install], timeout_seconds=TIMEOUT_SECONDS)
    for deb in archives.glob("*.deb"):
        deb.rename(target / deb.name)
    shutil.rmtree(archives)


def _root() -> Path:
    return paths.cache() / "debian"


def _architecture() -> str:
    return commands.run(["dpkg", "--print-architecture"]).strip()


def _name_and_version(deb: Path) -> tuple[str, str]:
    shown = commands.run(["dpkg-deb", "--show", deb]).split()
    return shown[0], shown[1]


def _download(names: Sequence[str], suite: str, target: Path) -> list[Path]:
    target.mkdir()
    wanted = [f"{name}/{suite}" for name in names]
    with locked(_root() / "apt" / suite / "lock"):
        apt = _isolated_apt(suite)
        commands.run(
            [*apt, "download", *wanted], cwd=target, timeout_seconds=TIMEOUT_SECONDS
        )
    return sorted(target.glob("*.deb"))


def _isolated_apt(suite: str) -> list[str]:
    """Command of an apt whose lists hold one suite and are at most a day old."""
    folder = _root() / "apt" / suite
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
    apt = ["apt-get", "--quiet"]
    for key, value in options.items():
        apt += ["--option", f"{key}={value}"]
    stamp = folder / "updated"
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
