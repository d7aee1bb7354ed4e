"""One entry of a chain: contracts/audit_chain.yaml."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from slipway.ledger.canonical import digest

FIRST_PREVIOUS = "0" * 64
FIELDS = ("sequence", "time", "actor", "action", "details", "previous", "hash")
_TYPES = {"sequence": int, "details": dict}
"""The others are text."""


@dataclass(frozen=True)
class Head:
    """Number and hash of a chain's newest entry; an anchor if it is kept elsewhere."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def of(cls, text: str) -> Head:
        number, _, found = text.partition(":")
        return cls(int(number), found)


@dataclass(frozen=True)
class Entry:
    """An action, its author and time; `time` is RFC 3339 in UTC with microseconds."""

    sequence: int
    time: str
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
        actor: str,
        action: str,
        details: dict[str, Any],
        now: dt.datetime | None = None,
    ) -> Entry:
        """The entry that follows `last`; TypeError for details without canonical JSON.

        A clock that was set back does not make an entry older than the one before it.
        """
        moment = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
        time = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
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
    def of(cls, raw: object) -> Entry:
        """The entry that JSON gives; ValueError if the form differs."""
        if not isinstance(raw, dict) or set(raw) != set(FIELDS):
            raise ValueError(f"the entry has not just {', '.join(FIELDS)}")
        for name, value in raw.items():
            if type(value) is not _TYPES.get(name, str):
                raise ValueError(f"`{name}` has a value of another type")
        return cls(**raw)

    def content(self) -> dict[str, Any]:
        """All fields, as the chain's line has them."""
        return asdict(self)

    def is_whole(self) -> bool:
        """Return whether the hash matches the rest."""
        rest = {name: it for name, it in self.content().items() if name != "hash"}
        return self.hash == digest(rest)

    @property
    def head(self) -> Head:
        return Head(self.sequence, self.hash)
