"""Names of files (contracts/prediction_record.yaml, `files`)."""

from __future__ import annotations

import re

PROTECTED_PREFIX = "protected-"
PREFIXES = ("predictions-", PROTECTED_PREFIX)
FINISHED = ".jsonl"
OPEN = ".jsonl.part"
COMPRESSED = ".gz"
LANDING = "landing"
"""Folder of the store in which files arrive."""
PROTECTED = "protected"
"""Second prefix in a bucket: a role can be denied access to protected attributes."""

_FINISHED = re.compile(
    rf"(?:{'|'.join(PREFIXES)})[A-Za-z0-9][A-Za-z0-9._-]{{0,180}}{re.escape(FINISHED)}"
)
"""Characters that need no quoting in a path, a URL or an S3 key; 255 bytes at most
with what a sink adds."""


def is_finished(name: str) -> bool:
    """Tell whether the name is that of a finished file, which never changes."""
    return _FINISHED.fullmatch(name) is not None


def is_alike(name: str) -> bool:
    """Tell whether prefix and ending are those of a finished file."""
    return name.startswith(PREFIXES) and name.endswith(FINISHED)


def is_open(name: str) -> bool:
    """Tell whether the name is that of a file that is still being written."""
    return name.startswith(PREFIXES) and name.endswith(OPEN)


def folder_in_bucket(name: str) -> str:
    """Return the folder of a file: `LANDING` or `PROTECTED`."""
    return PROTECTED if name.startswith(PROTECTED_PREFIX) else LANDING


def shipped(name: str) -> str:
    """Return the name of a finished file in the store."""
    return name + COMPRESSED
