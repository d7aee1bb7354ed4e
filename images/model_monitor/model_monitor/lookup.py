"""One prediction by its id: its records, its labels, and files that still wait.

Features and protected attributes are never shown. It takes no lock, so that it works
beside a running monitor.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from model_monitor.config import Config
from model_monitor.labels.latest import LATEST_FIRST
from model_monitor.store import Store
from model_monitor.store.database import database, name, text
from model_monitor.store.names import PREDICTIONS, quoted

MEMORY_MIB = 128
ATTEMPTS = 3
"""The monitor may replace or delete files between our listing and our reading."""
RECORD = (
    *("id", "row", "time", "model", "version", "revision", "arm", "status", "code"),
    *("latency_seconds", "decision", "score"),
)
"""Fields of a record that are shown."""
LABEL = ("id", "row", "label", "label_time", "source", "received")
OPTIONAL = frozenset({"version", "arm", "code", "decision", "score", "received"})
"""Columns that a file may lack."""


@dataclass
class Found:
    """The store's data about an id."""

    id: str
    records: list[dict[str, Any]] = field(default_factory=list)
    """In the order of time and row, up to the requested number."""
    rows: int = 0
    """All that there are."""
    labels: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    """Landed files with the id, which the next cycle reads."""
    unread: list[str] = field(default_factory=list)
    """Landed files that could not be looked through."""
    first_day: str | None = None
    """The oldest day with predictions that was looked through; None: there is none."""
    last_day: str | None = None
    files: int = 0
    """Files of predictions that were looked through."""

    @property
    def is_there(self) -> bool:
        return bool(self.rows or self.waiting)


def add_command(commands: Any) -> None:
    """Add `find` to the program's commands."""
    meaning = "Look a prediction up by its id, as JSON; without features."
    command = commands.add_parser("find", help=meaning, description=meaning)
    command.add_argument("id", metavar="ID")
    command.add_argument(
        "--model", action="append", help="only of this one; repeatable"
    )
    command.add_argument("--from", dest="first", type=day, metavar="DAY")
    command.add_argument("--to", dest="last", type=day, metavar="DAY")
    command.add_argument("--limit", type=int, default=100, help="rows; %(default)s")
    command.set_defaults(run=run)


def day(text: str) -> str:
    """Return a day as folders name it; ValueError if it is none."""
    return dt.date.fromisoformat(text).isoformat()


def run(settings: Config, options: argparse.Namespace) -> int:
    """Print what is known of the id; return 1 if nothing is."""
    found = find(
        Store(settings.store),
        options.id,
        models=options.model or [],
        first=options.first or "",
        last=options.last or "",
        limit=options.limit,
    )
    print(json.dumps(vars(found), indent=1, default=_rfc3339))
    return 0 if found.is_there else 1


def find(
    store: Store,
    identity: str,
    *,
    models: Iterable[str] = (),
    first: str = "",
    last: str = "",
    limit: int = 100,
) -> Found:
    """Look an id up in days `first` to `last`, both included; "" is no bound.

    models: those whose predictions are looked through; all if there is none. Labels
    that wait for a prediction are looked through for all models.
    """
    chosen = [f"model={quoted(it)}" for it in models]
    found = Found(identity)
    for folder in _days(store.predictions, first, last):
        found.first_day = found.first_day or _value(folder)
        found.last_day = _value(folder)
        found.files += _records(store, folder, chosen, found)
        _labels(store, store.labels / folder.name, chosen, found)
    _labels(store, store.pending, [], found)
    found.rows = len(found.records)
    found.records = found.records[:limit]
    _landed(store, found)
    return found


def _days(folder: Path, first: str, last: str) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in sorted(folder.glob("date=*")):
        if first <= _value(path) and (not last or _value(path) <= last):
            yield path


def _value(folder: Path) -> str:
    return folder.name.partition("=")[2]


def _records(store: Store, folder: Path, chosen: list[str], found: Found) -> int:
    """Add the records of one day, each row once; return the number of files."""
    for attempt in range(ATTEMPTS):
        files = _files(folder, chosen, "hour=*/")
        try:
            rows = _select(store, files, _RECORDS, found.id)
        except duckdb.IOException:
            if attempt + 1 == ATTEMPTS:
                raise
            continue
        found.records += sorted(rows, key=lambda it: (it["time"], it["row"]))
        break
    return len(files)


def _labels(store: Store, folder: Path, chosen: list[str], found: Found) -> None:
    for attempt in range(ATTEMPTS):
        files = _files(folder, chosen, "")
        files += sorted(folder.glob("*.parquet"))
        try:
            rows = _select(store, files, _LABELS, found.id)
        except duckdb.IOException:
            if attempt + 1 == ATTEMPTS:
                raise
            continue
        found.labels += sorted(rows, key=lambda it: int(it["row"]))
        return


def _files(folder: Path, chosen: list[str], between: str) -> list[Path]:
    models = chosen or ["model=*"]
    return [
        path
        for model in models
        for path in sorted(folder.glob(f"{between}{model}/**/*.parquet"))
    ]


@dataclass(frozen=True)
class _Kind:
    """Rows that are looked for: what is shown, and which of the same keys counts."""

    columns: Iterable[str]
    keys: str
    order: str


_RECORDS = _Kind(
    RECORD, "id, row, code is null", "time, parse_filename(filename), file_row_number"
)
_LABELS = _Kind(LABEL, "id, row", LATEST_FIRST)


def _select(
    store: Store, files: list[Path], kind: _Kind, identity: str
) -> list[dict[str, Any]]:
    """Return the rows of an id, of those with the same keys the first by the order."""
    if not files:
        return []
    listed = "[" + ", ".join(text(str(path)) for path in files) + "]"
    read = (
        f"read_parquet({listed}, union_by_name = true, filename = true, "
        "file_row_number = true, hive_partitioning = false)"
    )
    with database(store.root, MEMORY_MIB) as connection:
        described = connection.execute(f"describe from {read}").fetchall()
        known = {row[0] for row in described}
        shown = [it for it in kind.columns if it in known or it not in OPTIONAL]
        query = f"""
select {", ".join(map(name, shown))} from (
    select *, row_number() over (
        partition by {kind.keys} order by {kind.order}
    ) as turn
    from {read} where id = ?
) where turn = 1
"""  # noqa: S608, names and orders are our own
        rows = connection.execute(query, [identity]).fetchall()
    return [dict(zip(shown, row, strict=True)) for row in rows]


def _landed(store: Store, found: Found) -> None:
    """Note landed files that have the id, and those that cannot be read."""
    if not store.landing.is_dir():
        return
    for path in sorted(store.landing.glob(f"{PREDICTIONS}*")):
        try:
            if _has(path, found.id):
                found.waiting.append(path.name)
        except FileNotFoundError:
            continue  # The monitor has read it meanwhile.
        except (OSError, EOFError, zlib.error):
            found.unread.append(path.name)


def _has(path: Path, identity: str) -> bool:
    """Tell whether a file has a record of the id, however JSON writes that."""
    opened: Any = gzip.open if path.name.endswith(".gz") else open
    plain = identity.encode(errors="surrogatepass")
    with opened(path, "rb") as lines:
        # A line without the id's own bytes has it with escapes or not at all.
        return any(
            _id(line) == identity for line in lines if plain in line or b"\\" in line
        )


def _id(line: bytes) -> Any:
    """Return the id of a line; None of one that is not a record."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found.get("id") if isinstance(found, dict) else None


def _rfc3339(value: Any) -> str:
    """Return a time of the store, which is in UTC, as JSON has it."""
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return str(value)
