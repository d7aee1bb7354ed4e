"""One request: what is asked for, by whom and when."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from model_monitor.column_mapping import ColumnMapping

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Kind(StrEnum):
    """The kind of request, by the name of its command."""

    ERASE = "erase"
    BACKFILL = "backfill"
    IMPORT_LABELS = "import-labels"


ARGUMENTS: dict[Kind, dict[str, type]] = {
    Kind.ERASE: {"field": str, "value": str, "value_hash": str},
    Kind.BACKFILL: {"model": str, "mapping": dict},
    Kind.IMPORT_LABELS: {},
}
FILES = {Kind.ERASE: (0, 0), Kind.BACKFILL: (1, 2), Kind.IMPORT_LABELS: (1, 1000)}
"""Fewest and most files of a request; of a backfill predictions, then labels."""


class BadRequestError(Exception):
    """A request that cannot be read; the text is what is wrong, the reason, the fix."""


@dataclass(frozen=True)
class Request:
    """Content of `requests/<id>.json`."""

    id: str
    kind: Kind
    arguments: Mapping[str, Any]
    actor: str
    time: str
    """When it was asked for, RFC 3339 in UTC."""
    files: tuple[str, ...] = ()
    """Paths as the operator gave them; copies lie in `requests/<id>.files/`."""

    @classmethod
    def new(
        cls,
        kind: Kind,
        arguments: Mapping[str, Any],
        actor: str,
        files: tuple[str, ...] = (),
    ) -> Request:
        """Return a request with an id of its own; later ones have greater ids."""
        now = dt.datetime.now(dt.UTC)
        name = f"{now:%Y%m%dT%H%M%S%f}Z-{uuid.uuid4().hex[:8]}"
        return cls(name, kind, arguments, actor, now.isoformat(), files)

    @property
    def moment(self) -> dt.datetime:
        return dt.datetime.fromisoformat(self.time)

    def content(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode() + b"\n"

    @classmethod
    def of_content(cls, name: str, content: bytes) -> Request:
        """Return the request of a file `<name>.json`. Raises BadRequestError."""
        try:
            raw = json.loads(content)
        except (ValueError, RecursionError):
            raise _bad(name, "the file", "is not JSON") from None
        known = {it.name for it in fields(cls)}
        if not isinstance(raw, dict) or set(raw) != known:
            raise _bad(name, "the file", f"has not just {', '.join(sorted(known))}")
        for key in ("id", "kind", "actor", "time"):
            if not isinstance(raw[key], str) or not raw[key]:
                raise _bad(name, f"{key}={raw[key]!r}", "is not a text")
        if raw["id"] != name:
            raise _bad(name, f"id={raw['id']!r}", "is not the name of the file")
        if raw["kind"] not in list(Kind):
            kinds = ", ".join(Kind)
            raise _bad(name, f"kind={raw['kind']!r}", f"is not one of {kinds}")
        _moment(name, raw["time"])
        kind = Kind(raw["kind"])
        paths = _paths(name, kind, raw["files"])
        arguments = _arguments(name, kind, raw["arguments"])
        return cls(name, kind, arguments, raw["actor"], raw["time"], paths)


@dataclass(frozen=True)
class Work:
    """A request and where its files lie."""

    request: Request
    paths: tuple[Path, ...] = ()
    is_kept: bool = False
    """Whether the request is in the store, so that the next run continues it."""

    def shown(self, line: str) -> str:
        """Return a line with the operator's paths instead of those of the copies."""
        for path, given in zip(self.paths, self.request.files, strict=True):
            line = line.replace(str(path), given)
        return line


def mapping_of(arguments: Mapping[str, Any]) -> ColumnMapping:
    """Return the mapping of a backfill's arguments; TypeError if it is none."""
    given: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in arguments["mapping"].items()
    }
    default = ColumnMapping()
    for key, value in given.items():
        if type(value) is not type(getattr(default, key, None)):
            raise TypeError(key)
    return ColumnMapping(**given)


def _bad(name: str, value: str, reason: str) -> BadRequestError:
    return BadRequestError(
        f"request {name}: {value}: {reason}; write requests by the commands "
        f"{', '.join(Kind)}"
    )


def _moment(name: str, text: str) -> None:
    try:
        has_zone = dt.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        has_zone = False
    if not has_zone:
        raise _bad(name, f"time={text!r}", "is not a time with its zone")


def _paths(name: str, kind: Kind, raw: object) -> tuple[str, ...]:
    fewest, most = FILES[kind]
    if (
        not isinstance(raw, list)
        or not fewest <= len(raw) <= most
        or not all(isinstance(it, str) and Path(it).name for it in raw)
    ):
        raise _bad(name, f"files={raw!r}", f"is not a list of {fewest} to {most} paths")
    return tuple(raw)


def _arguments(name: str, kind: Kind, raw: object) -> dict[str, Any]:
    expected = ARGUMENTS[kind]
    if (
        not isinstance(raw, dict)
        or set(raw) != set(expected)
        or not all(isinstance(raw[key], it) for key, it in expected.items())
    ):
        # Without the values: one may be a person's.
        raise _bad(name, "arguments", f"are not just {', '.join(expected) or 'none'}")
    if kind is Kind.BACKFILL:
        try:
            mapping_of(raw)
        except (TypeError, AttributeError):
            raise _bad(name, "mapping", "names no columns as backfill does") from None
    return raw
