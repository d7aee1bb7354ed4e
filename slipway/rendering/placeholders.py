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
        names.update(_quoted(file.read_text()))
    for file in sorted((checkout / "stacks" / "config").glob("*.yaml")):
        names.update(_PLAIN.findall(file.read_text()))
        names.update(_quoted(file.read_text()))
    table = checkout / "images" / "images.toml"
    if table.is_file():
        names.update(_TABLE.findall(table.read_text()))
    return {name: _reference(name) for name in sorted(names)}


@functools.lru_cache(maxsize=1024)
def _quoted(text: str) -> tuple[str, ...]:
    """Names in the text; of most files, two checkouts have the same."""
    return tuple(_QUOTED.findall(text))


def _reference(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"placeholder.invalid/{name}@sha256:{digest}"
