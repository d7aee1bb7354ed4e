"""Canonical JSON as contracts/audit_chain.yaml gives it, for entries of the ledger.

The model monitor has the same form in a program of its own; a test compares the two.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(value: Any) -> bytes:
    """The canonical JSON; TypeError for what has none, such as fractions."""
    _check(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise TypeError("half of a surrogate pair has no canonical JSON") from None


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _check(value: Any) -> None:
    if isinstance(value, dict):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"the key {wrong[0]!r} is not text; write it as one")
        for item in value.values():
            _check(item)
    elif isinstance(value, list):
        for item in value:
            _check(item)
    elif value is not None and not isinstance(value, str | bool | int):
        raise TypeError(
            f"{value!r} has no canonical JSON; write it as a text or a whole number"
        )
