"""Container images by digest: short names are looked up in images.lock.

`slipway images` builds, pushes and writes the lock; a full reference with its digest
needs no lock.
"""

from __future__ import annotations

import json
import os
import re
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
_SHORT = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")


class ImageError(LookupError):
    """An image name stands for nothing; `reason` and `fix` say why and what to do."""

    def __init__(self, name: str, reason: str, fix: str) -> None:
        self.reason = reason
        self.fix = fix
        super().__init__(f"image {name!r}: {reason}; {fix}")


def lock_file() -> Path:
    """Where images.lock lies: JSON, short name to full reference."""
    chosen = os.environ.get(LOCK_VARIABLE)
    return Path(chosen) if chosen else paths.state() / "images.lock"


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
    known = _known(name)
    if name not in known:
        meant = nearest(name, known)
        hint = f"did you mean {meant}? " if meant else ""
        raise ImageError(
            name,
            f"it is not in {lock_file()}",
            f"{hint}known: {', '.join(sorted(known)) or 'none'}; "
            "`slipway images` builds, pushes and locks what images/ holds",
        )
    return known[name]


def _known(name: str) -> dict[str, str]:
    file = lock_file()
    try:
        known: dict[str, str] = json.loads(file.read_text())
    except FileNotFoundError:
        raise ImageError(
            name,
            f"there is no {file}",
            "run `slipway images`, or give host/path@sha256:<64 hex digits>",
        ) from None
    except (OSError, ValueError) as error:
        raise ImageError(
            name, f"{file} cannot be read ({error})", "run `slipway images` again"
        ) from None
    wrong = [k for k, v in known.items() if not REFERENCE.fullmatch(str(v))]
    if wrong:
        raise ImageError(
            name,
            f"{file} has no digest for {', '.join(wrong)}",
            "run `slipway images` again",
        )
    return known


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
