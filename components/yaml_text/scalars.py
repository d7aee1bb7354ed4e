"""The meaning of unquoted YAML scalars to each program that reads our files.

Pulumi's engine reads stack files with Go's yaml.v3, Kubernetes reads manifests with
sigs.k8s.io/yaml, and PyYAML follows YAML 1.1. They differ in booleans, octal numbers,
exponents, numbers of base 60 and days. Rules of the first two:
https://github.com/go-yaml/yaml/blob/v3.0.1/resolve.go
https://github.com/kubernetes-sigs/yaml/blob/v1.6.0/yaml.go
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum

Scalar = str | bool | int | float | date | None

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{f"{sign}.{w}": math.inf for sign in ("", "+") for w in ("inf", "Inf", "INF")},
    **{f"-.{w}": -math.inf for w in ("inf", "Inf", "INF")},
}
_SWITCHES: dict[str, Scalar] = {
    form(word): value
    for value, words in ((True, ("y", "yes", "on")), (False, ("n", "no", "off")))
    for word in words
    for form in (str.lower, str.capitalize, str.upper)
}
"""Booleans of YAML 1.1 that Kubernetes' reader still accepts."""
_BASES = {"0x": 16, "0o": 8, "0b": 2}
_INTEGER = re.compile(r"0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|0|[1-9][0-9]*")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LEAST, _LARGEST = -(2**63), 2**64 - 1
"""Range of whole numbers in Go; larger ones are floats there."""
_MOST_DIGITS = 20
"""Of a decimal number within that range."""
_DAY = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_CLOCK = r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,](\d+))?"
_MOMENT = re.compile(
    rf"(\d{{4}})-(\d{{1,2}})-(\d{{1,2}})(?: {_CLOCK}|"
    rf"[Tt]{_CLOCK}(?:Z|([+-])(\d\d):(\d\d)))",
    re.ASCII,
)
"""With a space and no offset, or with a T and an offset; nothing else to Go."""


class Dialect(Enum):
    """A program's rules for unquoted words."""

    ENGINE = "engine"
    """Pulumi's, of stack files: Go's yaml.v3."""
    KUBERNETES = "kubernetes"
    """Kubernetes' and helm's, of manifests: `yes` is true, and days are text."""


def meaning(text: str, dialect: Dialect = Dialect.ENGINE) -> Scalar:
    """The value of a scalar that stands without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if dialect is Dialect.KUBERNETES and text in _SWITCHES:
        return _SWITCHES[text]
    if text[0] not in "+-.0123456789":
        return text
    if dialect is Dialect.ENGINE and (moment := _moment(text)) is not None:
        return moment
    number = _number(text.replace("_", ""))
    return text if number is None else number


def is_text_to_all(text: str) -> bool:
    """Return whether every reader takes the unquoted word for text."""
    if text in _SWITCHES or text in _WORDS:
        return False
    if text[0] not in "+-." and not text[0].isdecimal():
        return True  # neither a number nor a day: most texts, and the quick way
    # YAML 1.2's numbers are among Go's, but for those that no float can hold.
    return not any(it.fullmatch(text) for it in (_FLOAT, _DAY, _MOMENT)) and all(
        isinstance(meaning(text, d), str) for d in Dialect
    )


def _number(plain: str) -> int | float | None:
    sign = -1 if plain.startswith("-") else 1
    digits = plain[1:] if plain[:1] in ("+", "-") else plain
    if len(digits) > _MOST_DIGITS and digits.isdecimal() and digits[0] != "0":
        return _large(plain)  # Python refuses to make integers of very many digits
    if _INTEGER.fullmatch(digits):
        value = sign * _whole(digits)
        return value if _LEAST <= value <= _LARGEST else _large(plain)
    return _large(plain)


def _whole(digits: str) -> int:
    base = _BASES.get(digits[:2].lower())
    if base:
        return int(digits[2:], base)
    return int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)


def _large(plain: str) -> float | None:
    """A float; None for what is none or what a float cannot hold."""
    if not _FLOAT.fullmatch(plain):
        return None
    value = float(plain)
    return None if math.isinf(value) else value


def _moment(text: str) -> date | None:
    """A day, or a time; without an offset it is UTC, as Go has it."""
    try:
        if found := _DAY.fullmatch(text):
            return date(*map(int, found.groups()))
        if not (found := _MOMENT.fullmatch(text)):
            return None
        groups = found.groups()
        clock = groups[3:7] if groups[3] else groups[7:11]
        year, month, day, hour, minute, second = map(int, [*groups[:3], *clock[:3]])
        fraction = int((clock[3] or "0")[:6].ljust(6, "0"))
        sign, hours, minutes = groups[11:]
        zone = UTC
        if sign:
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            zone = timezone(offset if sign == "+" else -offset)
        return datetime(year, month, day, hour, minute, second, fraction, zone)
    except ValueError:  # no such day: text, as to Go
        return None
