"""Values of a request as error messages show them."""

from __future__ import annotations

import orjson

SHOWN_CHARACTERS = 60


def shown(value: object) -> str:
    """Return a value as JSON, cut to a length that an error message bears."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list) and any(isinstance(inner, list) for inner in value):
        return "a nested list"
    text = orjson.dumps(value).decode()
    if len(text) > SHOWN_CHARACTERS:
        text = text[:SHOWN_CHARACTERS] + "..."
    return text
