"""images.lock: the reference with digest of every pushed image, by short name."""

from __future__ import annotations

import json
from pathlib import Path

from components.images import lock_file
from toolchain import whole_files


def lock_path() -> Path:
    """Return the path of the lock, from which the stacks read it."""
    return lock_file()


def read() -> dict[str, str]:
    """References by short name; empty if nothing was pushed yet."""
    try:
        found: dict[str, str] = json.loads(lock_path().read_text())
    except FileNotFoundError:
        return {}
    return found


def write(references: dict[str, str]) -> None:
    """Replaces the lock as a whole, only if it changes."""
    text = json.dumps(references, indent=2, sort_keys=True) + "\n"
    path = lock_path()
    if not path.is_file() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_files.write(path, text)
