"""Names of landed files, of label files and of partition folders."""

from __future__ import annotations

import re
from urllib.parse import quote

PREDICTIONS = "predictions-"
PROTECTED = "protected-"
LINES = ".jsonl"
COMPRESSED = ".gz"

_LANDED = re.compile(
    rf"(?:{PREDICTIONS}|{PROTECTED})[A-Za-z0-9][A-Za-z0-9._-]{{0,180}}"
    rf"{re.escape(LINES)}(?:{re.escape(COMPRESSED)})?"
)
"""As contracts/prediction_record.yaml names shipped files, in characters that need no
quoting anywhere. With what the store adds to a name it is shorter than 255 bytes."""
_LABELS = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,180}\.(?:jsonl|jsonl\.gz|csv|parquet)"
)


FOLDERS = ("model", "revision")
"""Fields of a record that name the folders where it lies, as `quoted` gives them."""
QUOTED_CHARACTERS = 255 - len("revision=")
"""Maximum length of a quoted name: folder names have at most 255 bytes on usual file
systems."""


def is_landed(name: str) -> bool:
    """Tell whether a file of this name is one that the store takes in."""
    return _LANDED.fullmatch(name) is not None


def is_labels(name: str) -> bool:
    """Tell whether a file of this name can be imported as labels."""
    return _LABELS.fullmatch(name) is not None


def quoted(value: str) -> str:
    """Return a model or revision as the name of its folder has it."""
    return quote(value, safe="")
