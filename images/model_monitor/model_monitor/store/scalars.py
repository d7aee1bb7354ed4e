"""Scalars as canonical text, as the macros of `database` write them."""

from __future__ import annotations

import json
import re

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WHOLE_BELOW = 2**53
_DIGITS = 18
"""Maximum digits of whole numbers that are kept digit by digit."""


def is_number(text: str) -> bool:
    """Tell whether a text is that of a JSON number (RFC 8259, section 6)."""
    return _NUMBER.fullmatch(text) is not None


def canonical(value: object) -> str | None:
    """Return the canonical text of a value that was read from JSON.

    Whole numbers have no point; null is None; a list is its JSON text.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, bool):
        return "true" if value else "false"
    assert isinstance(value, int | float)
    if isinstance(value, int) and abs(value) < 10**_DIGITS:
        return str(value)
    try:
        number = float(value)
    except OverflowError:
        return str(value)
    is_whole = abs(number) < _WHOLE_BELOW and number == int(number)
    return str(int(number)) if is_whole else repr(number)
