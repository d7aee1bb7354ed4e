"""Files of a file backend that a killed engine left incomplete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def mend(backend: Path, project: str, stack: str, say: Callable[[str], None]) -> None:
    """Removes them; call it when no other run has the stack's lock.

    The engine renames the stack's file into place, but writes the attributes beside it
    (`.attrs`, its media type) as they are. An empty one ends every later run with
    "failed to load checkpoint: EOF", and without one the engine reads the file as well.
    """
    folder = backend / ".pulumi" / "stacks" / project
    for attributes in sorted(folder.glob(f"{stack}.json*.attrs")):
        if not attributes.stat().st_size:
            attributes.unlink()
            say(f"Removed {attributes.name}, which a killed run left empty.")
    for unfinished in sorted(folder.glob(f"{stack}.json.*.tmp")):
        unfinished.unlink()
