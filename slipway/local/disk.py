"""The project's files on this machine's disk, and which may be deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from toolchain import paths

PYTHON = "Python environments, what mypy remembers"
REST = "the rest of the cache"
LAB = "the lab's hosts: disks, logs"
STATE = "state of stacks, keys, passphrase"
CACHED = {
    "programs": (
        "binaries",
        "downloads",
        "build",
        "build.*",
        "hosts-bin",
        "pulumi-home",
    ),
    "images: layers and inputs": (
        *("buildah", "docker", "podman", "wheels", "host-images", "models", "data"),
    ),
    "Debian packages and bases of hosts": ("debian", "rootfs"),
    PYTHON: ("venv", "venv-*", "mypy"),
}
"""Folders of the cache by content; all others are the rest."""
AGAIN = "`make down` first; `make up` makes it again"
DELETING = {
    PYTHON: "any time; `make up` makes it again",
    LAB: "`slipway local down --wipe`",
    STATE: "never by hand: stacks in real clusters may be in it",
}
"""Command that deletes it, if that is not `AGAIN`."""


@dataclass(frozen=True)
class Kept:
    """Something that is kept, how large it is, and how it may be deleted."""

    what: str
    folder: Path
    """The folder that it is in, perhaps with others."""
    size: int
    """Bytes, as `paths.size_bytes` counts them."""
    deleting: str


def _kept(what: str, folder: Path, parts: Sequence[Path]) -> Kept:
    return Kept(what, folder, paths.size_bytes(*parts), DELETING.get(what, AGAIN))


def kept() -> list[Kept]:
    """All that there is, the cache first."""
    cache, state = paths.cache(), paths.state()
    left = set(cache.iterdir()) if cache.is_dir() else set()
    found = []
    for what, patterns in CACHED.items():
        parts = {part for pattern in patterns for part in cache.glob(pattern)}
        left -= parts
        found.append(_kept(what, cache, sorted(parts)))
    found.append(_kept(REST, cache, sorted(left)))
    labs = state / "labs"
    found.append(_kept(LAB, labs, [labs] if labs.is_dir() else []))
    others = [p for p in state.iterdir() if p != labs] if state.is_dir() else []
    found.append(_kept(STATE, state, others))
    return [one for one in found if one.size]


def table() -> Table:
    """Return the table of files for a person."""
    shown = Table("what", "GB", "where", "to delete it", title="What is kept on disk")
    found = kept()
    for one in found:
        shown.add_row(one.what, f"{one.size / 1e9:.2f}", str(one.folder), one.deleting)
    total = sum(one.size for one in found)
    shown.add_row(
        "[bold]all[/bold]", f"[bold]{total / 1e9:.2f}[/bold]", "", "`make clean`"
    )
    return shown
