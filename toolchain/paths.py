"""Folders for builds, downloads and state.

Nothing is written to the checkout: builds and downloads are in the user's cache folder,
a lab's state and Pulumi's local state in the user's state folder
(https://specifications.freedesktop.org/basedir-spec/latest/).
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout; where Slipway is installed, the folder that stands in its place."""
PROJECT_FILE = "Pulumi.yaml"


def _project() -> Path:
    """The checkout; else the closest folder, from the current one up, with a project.

    An installed Slipway has no stack files: it works on those of its user's project.
    """
    here = Path.cwd()
    places = (ROOT, here, *here.parents)
    return next((place for place in places if (place / PROJECT_FILE).is_file()), here)


PROJECT = _project()
"""Folder of Pulumi.yaml and the stack files; paths in settings are relative to it."""


def _base(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    # The specification says that a relative path is to be ignored.
    base = Path(value) if value.startswith("/") else Path.home() / default
    return base / "slipway"


def cache() -> Path:
    """Builds and downloads; may be deleted at the price of making them anew."""
    return _base("XDG_CACHE_HOME", ".cache")


def state() -> Path:
    """The lab's disks and Pulumi's local state; deleting it loses the lab."""
    return _base("XDG_STATE_HOME", ".local/state")


def size_bytes(*places: Path) -> int:
    """Bytes of files and of all files below folders.

    Links are not followed, and a file with several names counts once.
    """
    found: dict[tuple[int, int], int] = {}
    for place in places:
        files = [place] if not place.is_dir() else []
        for root, _, names in os.walk(place):
            files += [Path(root, name) for name in names]
        for file in files:
            seen = file.lstat()
            found[seen.st_dev, seen.st_ino] = seen.st_size
    return sum(found.values())
