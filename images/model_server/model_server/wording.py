"""Values of a request in error messages, without those of features."""

from __future__ import annotations

import re

import orjson

SHOWN_CHARACTERS = 60
_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}
_NUMBER = re.compile(r"-?\d[\d.]*(?:e[-+]?\d+)?")


def shown(value: object) -> str:
    """Return a value as JSON, cut to a length that fits into an error message."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list) and any(isinstance(inner, list) for inner in value):
        return "a nested list"
    text = orjson.dumps(value).decode()
    if len(text) > SHOWN_CHARACTERS:
        text = text[:SHOWN_CHARACTERS] + "..."
    return text


def kind_of(value: object) -> str:
    """Return what a feature's value is, without the value: errors are often logged."""
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def without_values(text: str, *, has_texts: bool) -> str:
    """Return a library's error about a request, without values that it may repeat.

    Numbers become `#`. Where the request has texts, nothing of the words is safe.
    """
    if has_texts:
        return "its words are left out, since they may repeat texts of the request"
    return _NUMBER.sub("#", text)
