"""One entry of an audit chain."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from model_monitor.audit.canonical import canonical, digest

FIRST_PREVIOUS = "0" * 64
FIELDS = ("sequence", "time", "actor", "action", "details", "previous", "hash")
_TYPES = {"sequence": int, "details": dict}
"""The others are text."""


@dataclass(frozen=True)
class Entry:
    """An action, and the hash of the previous entry."""

    sequence: int
    time: str
    """RFC 3339 in UTC with microseconds."""
    actor: str
    action: str
    details: dict[str, Any]
    previous: str
    hash: str

    @classmethod
    def after(
        cls,
        last: Entry | None,
        *,
        time: str,
        actor: str,
        action: str,
        details: dict[str, Any],
    ) -> Entry:
        """Return the entry that follows `last`; TypeError if details have no form."""
        content: dict[str, Any] = {
            "sequence": last.sequence + 1 if last else 1,
            "time": max(time, last.time) if last else time,
            "actor": actor,
            "action": action,
            "details": details,
            "previous": last.hash if last else FIRST_PREVIOUS,
        }
        return cls(**content, hash=digest(content))

    @classmethod
    def of_line(cls, line: bytes) -> Entry:
        """Return the entry of a line, without its line feed.

        Raises ValueError, whose text begins with what differs: the form, or the hash.
        """
        try:
            raw = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError("form: the line is not JSON") from None
        if not isinstance(raw, dict) or set(raw) != set(FIELDS):
            raise ValueError(f"form: the line has not just {', '.join(FIELDS)}")
        for name, value in raw.items():
            if type(value) is not _TYPES.get(name, str):
                raise ValueError(f"form: `{name}` has a value of another type")
        entry = cls(**raw)
        try:
            if entry.line() != line + b"\n":
                raise ValueError("form: the line is not in canonical JSON")
            if entry.hash != digest(entry.content()):
                raise ValueError("hash: the entry was changed after it was written")
        except TypeError as error:
            raise ValueError(f"form: {error}") from None
        return entry

    def content(self) -> dict[str, Any]:
        """Return all that the hash is of."""
        return {name: getattr(self, name) for name in FIELDS if name != "hash"}

    def line(self) -> bytes:
        return canonical({**self.content(), "hash": self.hash}) + b"\n"
