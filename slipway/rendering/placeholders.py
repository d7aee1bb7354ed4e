"""References for images that nobody has built, so that a fresh clone can be rendered.

Each name gets a reference of its own, the same on both sides: a change of names shows,
a new build of an image does not. `--images` gives the real ones.
"""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path

_QUOTED = re.compile(r'"([a-z0-9]+(?:[_-][a-z0-9]+)*)"')
_PLAIN = re.compile(r"(?m):\s+([a-z0-9]+(?:[_-][a-z0-9]+)*)\s*(?:[,}#]|$)")
_TABLE = re.compile(r"(?m)^\[images\.([a-z0-9_-]+)\]")


def images(checkout: Path) -> dict[str, str]:
    """A reference for whatever could be the name of an image in this checkout.

    The files are read as text and not executed: defaults in Python, values in stack
    files, names in images.toml.
    """
    names: set[str] = set()
    for file in sorted((checkout / "components").rglob("*.py")):
        names.update(_quoted(_text(file, checkout)))
    for file in sorted((checkout / "stacks" / "config").glob("*.yaml")):
        text = _text(file, checkout)
        names.update(_PLAIN.findall(text))
        names.update(_quoted(text))
    names.update(_TABLE.findall(_text(checkout / "images" / "images.toml", checkout)))
    return {name: _reference(name) for name in sorted(names)}


def _text(file: Path, checkout: Path) -> str:
    """The text of a file; none of what tools keep, of links, and of what is no file."""
    folders = file.relative_to(checkout).parts[:-1]
    kept = any(name == "__pycache__" or name.startswith(".") for name in folders)
    if kept or file.is_symlink() or not file.is_file():
        return ""
    return file.read_text(errors="replace")


@functools.lru_cache(maxsize=1024)
def _quoted(text: str) -> tuple[str, ...]:
    """Names in the text; of most files, two checkouts have the same."""
    return tuple(_QUOTED.findall(text))


def _reference(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"placeholder.invalid/{name}@sha256:{digest}"
