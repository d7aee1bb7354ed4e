"""Values of a stack file as Pulumi's engine hands them to a program: as JSON, or text.

https://github.com/pulumi/pulumi/blob/v3.259.0/sdk/go/common/resource/config/object.go
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

_WHOLE_BELOW = 1e21
"""From here on, Go writes a whole number with an exponent."""


def handed(value: Any) -> str:
    """The one text that the engine makes of a key's value."""
    if isinstance(value, dict | list):
        return json.dumps(_plain(value), separators=(",", ":"))
    return "" if value is None else _text(value)


def _plain(value: Any) -> Any:
    """Return the JSON form: keys as text, days as text, whole floats as integers."""
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, date):
        return _moment(value)
    return _number(value) if isinstance(value, float) else value


def _key(key: Any) -> str:
    return "<nil>" if key is None else _text(key)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return _moment(value)
    if isinstance(value, float):
        return str(_number(value)).replace("e-0", "e-")
    return str(value)


def _number(value: float) -> int | float:
    whole = value.is_integer() and abs(value) < _WHOLE_BELOW
    return int(value) if whole else value


def _moment(value: date) -> str:
    """A day or a time as Go prints it: 2027-01-02 00:00:00 +0000 UTC."""
    if not isinstance(value, datetime):
        return f"{value} 00:00:00 +0000 UTC"
    value = value if value.tzinfo else value.replace(tzinfo=UTC)
    fraction = f".{value.microsecond:06}".rstrip("0").rstrip(".")
    offset = f"{value:%z}"
    zone = offset if value.utcoffset() else "UTC"
    return f"{value:%Y-%m-%d %H:%M:%S}{fraction} {offset} {zone}"
