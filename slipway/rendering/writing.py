"""Files of a rendered stack: one for each object, in forks where there are many."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from slipway.rendering import manifests, processes
from slipway.rendering.recorder import Resource

PRIVATE, PUBLIC = 0o600, 0o666
"""Modes of files with and without secret values; umask takes from them."""
_AT_ONCE = 250
"""Objects that one process writes before it looks for more: 0.2 s of CPU time."""


def text(header: str, resource: Resource) -> str:
    """Content of an object's file."""
    return header + manifests.to_yaml(manifests.manifest(resource))


def file(path: Path, content: str, *, private: bool) -> None:
    """Writes a file that nobody else can read, if it is private, at any moment."""
    path.touch(PRIVATE if private else PUBLIC)
    if private:
        path.chmod(PRIVATE)  # one of an earlier run
    path.write_text(content)


def objects(
    folder: Path,
    header: str,
    found: Mapping[str, Resource],
    private: Collection[str],
) -> None:
    """Writes each object's file by its name; `private` are names, too."""

    def some(names: Sequence[str]) -> None:
        for name in names:
            content = text(header, found[name])
            file(folder / name, content, private=name in private)

    names = list(found)
    parts = [names[at : at + _AT_ONCE] for at in range(0, len(names), _AT_ONCE)]
    for _ in processes.each(some, parts):
        pass
