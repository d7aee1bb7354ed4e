"""The lock file that a stack names: what short names of images stand for there.

It is known before the settings are read, as reading them looks up the images.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from components.images import REFERENCE, Lock
from components.settings import Problem
from stacks import values

FIELD = "images_lock"


def of(ours: Mapping[str, Any], root: Path) -> Lock:
    """The lock that settings as they were given name; `root` is the checkout."""
    name = ours.get(FIELD)
    production = values.is_production(ours.get("production", False))
    if not isinstance(name, str) or not name:
        return Lock(None, must_be_named=production)
    # A name that is refused is reported once, and not again for each image.
    return Lock() if _is_outside(name, root) else Lock(root / name, production)


def problems(ours: Mapping[str, Any], root: Path) -> Iterator[Problem]:
    """Report problems of the file that they name."""
    name = ours.get(FIELD)
    if not isinstance(name, str) or not name:
        return
    path = PurePosixPath(name)
    if _is_outside(name, root):
        yield Problem(
            FIELD,
            name,
            "it is outside the checkout, where no reviewer sees it",
            "give a path in the checkout, such as stacks/config/images.prod.lock",
        )
    elif not _is_file(root / path):
        yield Problem(
            FIELD,
            name,
            "there is no such file in the checkout",
            f"write it by `slipway images push --registry HOST/PATH --lock {name}`, "
            "and commit it",
        )
    elif wrong := _wrong(root / path):
        yield Problem(
            FIELD,
            name,
            wrong,
            "give JSON with host/path@sha256:<64 hex digits> by short name, as "
            "`slipway images push --lock` writes it",
        )


def _is_outside(name: str, root: Path) -> bool:
    """Return whether the path, or a link that it follows, leads out of the checkout."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return True
    # No file that is there has a name with a null character or a loop of links.
    try:
        return not (root / path).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long
        return False


def _wrong(file: Path) -> str:
    """Return what is wrong with the content; empty if nothing is."""
    try:
        found = json.loads(file.read_text())
        bad = [name for name, it in found.items() if not REFERENCE.fullmatch(str(it))]
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        return f"it cannot be read: {error}"
    return f"it has no reference by digest for {', '.join(bad)}" if bad else ""
