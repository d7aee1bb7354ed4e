"""Takes secrets out of text before anyone sees it: one function, and a logging filter.

Known shapes of secrets are replaced wherever they stand, and so is each value of an
environment variable whose name says that it is one.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator

from components.security.secret_shapes import SHAPES

REDACTED = "[redacted]"
SHORTEST_VALUE = 8
"""Minimum length of an environment variable's value to count as a secret: shorter ones
may be ordinary words of a text."""
_PHRASES = r"[\w-]*pass(?:word|phrase|wd)"
_NAMES = (
    r"[\w-]*secret[\w-]*|[\w-]*token|[\w-]*api[_-]?key|[\w-]*private[_-]?key|"
    r"[\w-]*credential"
)
_SECRET_VARIABLE = re.compile(
    r"SECRET|TOKEN|PASSWORD|PASSPHRASE|PASSWD|API_?KEY|PRIVATE_KEY|ACCESS_KEY"
)
_NOT_SECRET = re.compile(r"_(FILE|PATH|URL|ENDPOINT|PROVIDER)$")
_SHAPES = tuple(re.compile(text, re.DOTALL) for text in SHAPES.values())
_PARTS = (
    (re.compile(r"(?i)(://[^/\s:@]+:)[^@/\s]+(@)"), rf"\1{REDACTED}\2"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {REDACTED}"),
    (
        re.compile(
            r"(?i)(x-amz-(?:security-token|signature|credential)[=:]\s*)[^&\s]+"
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"(?i)(\bsignature=)[0-9a-f]{16,}"), rf"\1{REDACTED}"),
    (
        re.compile(
            rf"""(?ix)( \b(?:{_PHRASES}) ['"]? \s*[=:]\s* )
            (?: "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | [^\n,;&}}"']+ )"""
        ),
        rf"\1{REDACTED}",
    ),
    (
        re.compile(
            rf"""(?ix)( \b(?:{_NAMES}) ['"]? \s*[=:]\s* )
            (?: "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | [^\s,;&}}]+ )"""
        ),
        rf"\1{REDACTED}",
    ),
)


def redact(text: str) -> str:
    """The text without access keys, tokens, passphrases and private keys."""
    for value in _secret_values():
        text = text.replace(value, REDACTED)
    for shape in _SHAPES:
        text = shape.sub(REDACTED, text)
    for part, replacement in _PARTS:
        text = part.sub(replacement, text)
    return text


def _secret_values() -> Iterator[str]:
    """Values of environment variables whose names call them secret.

    The longest first: one may be the beginning of another.
    """
    found = {
        value
        for name, value in os.environ.items()
        if _SECRET_VARIABLE.search(name.upper())
        and not _NOT_SECRET.search(name.upper())
        and len(value) >= SHORTEST_VALUE
    }
    yield from sorted(found, key=len, reverse=True)


class RedactionFilter(logging.Filter):
    """Takes secrets out of each record, its arguments and its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


def handler(stream_handler: logging.Handler) -> logging.Handler:
    """The handler with the filter; a logger's own misses records of its children."""
    stream_handler.addFilter(RedactionFilter())
    return stream_handler
