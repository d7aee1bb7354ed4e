"""One line of a log, whatever wrote it."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slipway.printable import printable

_FIRST = ("level", "message", "method", "path", "status", "duration_ms")
"""Fields that are shown first and without their name."""
_LEFT_OUT = ("time", "request_id")
DEEPEST = 64
"""Lists and objects within each other; what is deeper is shown as text."""
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
"""Strings as a whole, so that brackets in them do not count."""
_ID = r"[A-Za-z0-9._:/+=@-]"
"""Characters of a request id; images/model_server/README.md."""


@dataclass(frozen=True)
class Line:
    """A line with its time, source and content."""

    time: dt.datetime
    source: str
    """gateway, server, waker, record or label."""
    pod: str
    container: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of a line that is a JSON object."""
    text: str = ""
    """Of any other line."""

    def concerns(self, identity: str) -> bool:
        """Whether it is about the request: a field, or a word of a text, is its id."""
        if self.fields.get("request_id") == identity:
            return True
        words = re.compile(rf"(?<!{_ID}){re.escape(identity)}(?!{_ID})")
        texts = [it for it in self.fields.values() if isinstance(it, str)]
        return any(words.search(it) for it in (*texts, self.text))

    def shown(self) -> str:
        """One line for a terminal; nothing in it can move the cursor."""
        parts = [self.text] if self.text else []
        parts += [_word(self.fields[it]) for it in _FIRST if self.fields.get(it)]
        parts += [
            f"{key}={_word(value)}"
            for key, value in self.fields.items()
            if key not in _FIRST + _LEFT_OUT and value not in (None, "", "-")
        ]
        place = f"{self.pod}/{self.container}" if self.pod else ""
        return printable(
            f"{text_of(self.time)}  {self.source:8}  {place:44}  {' '.join(parts)}"
        ).rstrip()

    def to_json(self) -> str:
        """One JSON object: time, source, pod, container, and line or text."""
        said: dict[str, Any] = {"line": dict(self.fields)} if self.fields else {}
        if self.text:
            said["text"] = self.text
        named = {"pod": self.pod, "container": self.container} if self.pod else {}
        found = {"time": text_of(self.time), "source": self.source, **named, **said}
        # JSON does not escape it.
        return json.dumps(found).replace("\x7f", "\\u007f")


def parse(text: str, source: str, pod: str, container: str) -> Line:
    """The line of a container's log, which begins with the time of its writing.

    A JSON object's own `time` holds before that: a program may write late.
    """
    stamp, _, rest = text.rstrip("\n").partition(" ")
    written = moment(stamp)
    if written is None:
        written, rest = dt.datetime.now(dt.UTC), text
    try:
        fields = decoded(rest) if rest.startswith("{") else None
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return Line(written, source, pod, container, text=rest)
    return Line(moment(fields.get("time")) or written, source, pod, container, fields)


def decoded(text: str) -> Any:
    """Strict JSON that can be written again; ValueError if it is none, or too deep."""
    if _is_deep(text):
        raise ValueError(f"lists and objects are nested more than {DEEPEST} deep")
    return json.loads(text, parse_float=_finite, parse_constant=_finite)


def _is_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= DEEPEST:
        return False
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > DEEPEST:
            return True
    return False


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number of JSON")
    return number


def moment(value: object) -> dt.datetime | None:
    """The time of a text in RFC 3339, in UTC; None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        found = dt.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
        return found.astimezone(dt.UTC) if found.tzinfo else None
    except (ValueError, OverflowError):  # the latter before the year 1, after 9999
        return None


def text_of(time: dt.datetime) -> str:
    """RFC 3339 in UTC with microseconds."""
    return time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value if " " not in value or value.isprintable() else json.dumps(value)
    return json.dumps(value)
