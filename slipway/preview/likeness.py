"""The parts of two checkouts that are the same, as far as a rendering can see."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stacks import files

LEFT_OUT = (
    ".git",
    ".venv",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    ".ansible",
)
"""Names of what tools keep in a checkout, wherever it lies."""
LEFT_OUT_ON_TOP = ("images.lock", "rendered", "dist")
"""Names that git ignores in the checkout's own folder."""
LEFT_OUT_ENDINGS = (".pyc", ".pyo", ".pyd", ".egg-info")
_NO_CODE = ("docs", "tests", "benchmarks", ".ci", ".github")
"""Folders that no rendering reads, unless a setting names a file of theirs."""


@dataclass(frozen=True)
class Likeness:
    """Files of two checkouts, relative to these; both have the same ones."""

    same: frozenset[str]
    """Those with the same content."""
    differing: frozenset[str]

    @property
    def may_render_together(self) -> bool:
        """Whether it is worth trying: code that differs is not run for both."""
        return all(map(_is_no_code, self.differing))


def likeness(base: Path, head: Path) -> Likeness | None:
    """How much two checkouts have in common.

    None if one has a file that the other lacks, or if one is not a plain file: then
    nothing is known about what a rendering would find. What git ignores is left out;
    slipway/preview/child.py notes it if a rendering looks there after all.
    """
    old, new = _files(base), _files(head)
    if old is None or new is None or old.keys() != new.keys():
        return None
    differing = frozenset(
        name
        for name, facts in old.items()
        if facts != new[name]
        or (base / name).read_bytes() != (head / name).read_bytes()
    )
    return Likeness(frozenset(old) - differing, differing)


def _is_no_code(name: str) -> bool:
    path = Path(name)
    is_settings = str(path.parent) == files.CONFIG_FOLDER and path.suffix == ".yaml"
    return is_settings or path.suffix == ".md" or path.parts[0] in _NO_CODE


_Facts = tuple[int, bool]
"""Size in bytes, and whether it may be executed."""


def _files(checkout: Path) -> dict[str, _Facts] | None:
    """Facts of all files; None if there is a link or something else."""
    found: dict[str, _Facts] = {}
    for name, entry in entries(str(checkout), ""):
        if not entry.is_file(follow_symlinks=False):
            return None
        facts = entry.stat(follow_symlinks=False)
        found[name] = facts.st_size, bool(facts.st_mode & 0o100)
    return found


def entries(folder: str, above: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Names in the checkout and what they are, but for folders and what tools keep.

    Folders are known by what is in them. `above` is empty, or ends with a slash.
    """
    with os.scandir(folder) as found:
        for entry in found:
            if _is_left_out(entry.name, on_top=not above):
                continue
            name = f"{above}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from entries(entry.path, f"{name}/")
            else:
                yield name, entry


def _is_left_out(name: str, *, on_top: bool) -> bool:
    return (
        name in LEFT_OUT
        or name.endswith(LEFT_OUT_ENDINGS)
        or (on_top and name in LEFT_OUT_ON_TOP)
    )
