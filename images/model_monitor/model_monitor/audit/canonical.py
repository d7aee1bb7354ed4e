"""Canonical JSON: one text for each value, so that its digest says that it is the same.

contracts/audit_chain.yaml gives the form.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(value: Any) -> bytes:
    """Return the canonical JSON; raise TypeError for what has none.

    Numbers other than whole ones have none: programs write them in different ways.
    """
    _check(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise TypeError("half of a surrogate pair has no canonical JSON") from None


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON, in hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _check(value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is not text; write it as one")
            _check(item)
    elif isinstance(value, list):
        for item in value:
            _check(item)
    elif value is not None and not isinstance(value, str | bool | int):
        raise TypeError(
            f"{value!r} has no canonical JSON; write it as a text or a whole number"
        )
