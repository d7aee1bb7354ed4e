"""Container images by digest: short names are looked up in images.lock.

`slipway images` builds, pushes and writes the lock; a full reference with its digest
needs no lock.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from components.setting_problems import nearest
from components.settings import refuse
from toolchain import paths

LOCK_VARIABLE = "SLIPWAY_IMAGES_LOCK"
_DIGEST = r"sha256:[0-9a-f]{64}"
_HOST = r"[a-z0-9][a-z0-9.-]*(?::[0-9]{1,5})?"
_PATH = r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
_TAG = r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?"
REFERENCE = re.compile(f"{_HOST}/{_PATH}{_TAG}@{_DIGEST}")
"""Host, path, perhaps a tag, and the digest, which alone decides."""
LOADED = "loaded.slipway.internal"
"""Stands for the registry in references of images that were loaded into nodes
(`slipway images load`). No registry can have this name: ICANN keeps .internal free."""
_SHORT = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")


class ImageError(LookupError):
    """An image name that cannot be resolved, with the reason and the fix."""

    def __init__(self, name: str, reason: str, fix: str) -> None:
        self.reason = reason
        self.fix = fix
        super().__init__(f"image {name!r}: {reason}; {fix}")


@dataclass(frozen=True)
class Lock:
    """The lock file that a stack reads."""

    file: Path | None = None
    """None: the user's own, or that of `LOCK_VARIABLE`."""
    must_be_named: bool = False
    """Whether short names require a lock file that the stack names."""


@dataclass
class _Current:
    lock: Lock = Lock()
    instead: Path | None = None


_current = _Current()


def use(lock: Lock) -> None:
    """Reads that lock file from now on: for the one program that this process runs."""
    _current.lock = lock


@contextmanager
def using(lock: Lock) -> Iterator[None]:
    """Reads that lock file for a while."""
    before = _current.lock
    _current.lock = lock
    try:
        yield
    finally:
        _current.lock = before


@contextmanager
def instead(file: Path) -> Iterator[None]:
    """Reads a lock file in place of every other for a while."""
    before = _current.instead
    _current.instead = file
    try:
        yield
    finally:
        _current.instead = before


def lock_file() -> Path:
    """Return the path of the lock file: JSON, short name to full reference."""
    chosen = os.environ.get(LOCK_VARIABLE)
    own = Path(chosen) if chosen else paths.state() / "images.lock"
    return _current.instead or _current.lock.file or own


def resolve(name: str) -> str:
    """The full reference of a short name; a full reference is returned as it is.

    ImageError if the name is not in images.lock, or there is none.
    """
    if REFERENCE.fullmatch(name):
        return name
    if not _SHORT.fullmatch(name):
        raise ImageError(
            name,
            "it is neither a name of images.lock nor a reference by digest",
            "give a name such as model-server, or host/path@sha256:<64 hex digits>; "
            "a tag alone may change under a running model",
        )
    if _current.lock.must_be_named and not _current.lock.file:
        raise ImageError(
            name,
            "production: the digest of this name is in a file on the operator's "
            "machine, which no reviewer sees",
            "name a committed file by images_lock, or give host/path@sha256:<64 hex "
            "digits>",
        )
    found = known(lock_file(), name)
    if name not in found:
        meant = nearest(name, found)
        hint = f"did you mean {meant}? " if meant else ""
        raise ImageError(
            name,
            f"it is not in {lock_file()}",
            f"{hint}known: {', '.join(sorted(found)) or 'none'}; `slipway images push "
            f"--registry HOST/PATH {name}` builds, pushes and locks what images/ holds "
            "(without --registry for the lab)",
        )
    return found[name]


def known(file: Path, name: str = "") -> dict[str, str]:
    """The references of a lock file by short name.

    ImageError, about `name`, if there is no such file or it is not whole.
    """
    try:
        found, wrong = _read(file.read_text())
    except FileNotFoundError:
        raise ImageError(
            name,
            f"there is no {file}",
            "run `slipway images push --registry HOST/PATH` (for kind `slipway images "
            "load --kind NAME`, for the lab `slipway images`), or give "
            "host/path@sha256:<64 hex digits>",
        ) from None
    except (OSError, ValueError) as error:
        raise ImageError(
            name, f"{file} cannot be read ({error})", "run `slipway images` again"
        ) from None
    if wrong:
        raise ImageError(
            name,
            f"{file} has no digest for {', '.join(wrong)}",
            "run `slipway images` again",
        )
    return dict(found)


@functools.lru_cache(maxsize=4)
def _read(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The references in a lock file's text, and the names without a digest.

    Kept: each model asks for its images, and `slipway compare` has a placeholder for
    every name.
    """
    found: dict[str, str] = json.loads(text)
    wrong = (k for k, v in found.items() if not REFERENCE.fullmatch(str(v)))
    return found, tuple(wrong)


def pull_policy(reference: str) -> str:
    """When nodes pull an image.

    At each start, so that a node's copy never outlives the right to pull it (what a
    digest names cannot change; with the layers there, only the manifest is asked for).
    Never, if it was loaded into them.
    """
    return "Never" if reference.startswith(f"{LOADED}/") else "Always"


def short_digest(reference: str) -> str:
    """The first twelve digits of a reference's digest: its version as a label."""
    return reference.rpartition("@sha256:")[2][:12]


def _resolved(name: str) -> str:
    try:
        return resolve(name)
    except ImageError as error:
        refuse(error.reason, error.fix)


ImageReference = Annotated[str, AfterValidator(_resolved)]
"""A setting that takes a short name or a full reference and holds the latter."""
