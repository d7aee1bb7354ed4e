"""Text from pods and the API server, made safe for a terminal."""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, those that turn the direction of text, and halves of pairs, which
no output takes."""


def printable(text: object) -> str:
    """One line in which nothing can move the cursor: JSON's escapes stand for it."""
    return _UNPRINTABLE.sub(lambda it: f"\\u{ord(it[0]):04x}", str(text))


def lines(text: str) -> str:
    """Return the same for text of several lines, which stay separate."""
    return "\n".join(printable(line) for line in text.split("\n"))
