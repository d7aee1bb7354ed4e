"""Reads of protected attributes, as the audit chain records them.

Who reads files of `protected/` for any purpose calls `note` first. The counts for
fairness, which read some in nearly every cycle, do so by `FairnessReads`, once a day.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote

import duckdb

from model_monitor.audit.chain import MONITOR, Chain
from model_monitor.audit.search import entries
from model_monitor.store import whole_files
from model_monitor.store.database import Connection, database, text
from model_monitor.store.store import Store

ACTION = "protected_read"
FAIRNESS = "fairness"
_FILES = 500
"""Number of files that one query reads."""

Rows = dict[str, dict[str, int]]
"""Records of files, by the model and by the day of the predictions."""


def found(connection: Connection, store: Store, files: Iterable[Path]) -> Rows:
    """Return how many records some files of `protected/` have; none is read."""
    rows: Rows = defaultdict(lambda: defaultdict(int))
    depth = len(store.protected.parts)
    own = [it for it in files if not any(x.startswith(".") for x in it.parts[depth:])]
    own.sort()
    for start in range(0, len(own), _FILES):
        for path, count in _counted(connection, own[start : start + _FILES]):
            parts = path.parts[depth:]
            keys = dict(it.split("=", 1) for it in parts if "=" in it)
            model, day = unquote(keys.get("model", "")), keys.get("date", "")
            rows[model][day] += count
    return {model: dict(days) for model, days in rows.items()}


def _counted(connection: Connection, files: list[Path]) -> list[tuple[Path, int]]:
    """Return the number of records of each file; of a damaged one, 0."""
    listed = ", ".join(text(str(it)) for it in files)
    try:
        rows = connection.execute(
            "select file_name, num_rows "  # noqa: S608, quoted above
            f"from parquet_file_metadata([{listed}])"
        ).fetchall()
    except duckdb.Error:
        # The reader gets the error: this only logs the access.
        if len(files) == 1:
            return [(files[0], 0)]
        return [it for path in files for it in _counted(connection, [path])]
    return [(Path(name), count) for name, count in rows]


def note(
    store: Store,
    purpose: str,
    rows: Rows,
    *,
    actor: str = MONITOR,
    now: dt.datetime | None = None,
) -> None:
    """Add an entry for each model: purpose, days and number of records."""
    for model, days in sorted(rows.items()):
        details = {
            "purpose": purpose,
            "model": model,
            "days": sorted(days),
            "rows": sum(days.values()),
        }
        Chain(store.chain).append(ACTION, details, actor=actor, now=now)


class FairnessReads:
    """The reads of the monitor's own counts: one entry a day (UTC) for each model.

    The first read of a day adds it. It has what was read since the entry before, which
    `audit/fairness_reads.json` keeps, and what is read now.
    """

    def __init__(self, store: Store, memory_mib: int) -> None:
        self._store, self._memory_mib = store, memory_mib
        self._path = store.chain.parent / "fairness_reads.json"
        self._last: dict[str, str] | None = None
        """Day of each model's last entry."""

    def note(self, files: Iterable[Path], now: dt.datetime | None = None) -> None:
        """Record that these files are about to be read; call it in each cycle."""
        now = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
        open_reads = self._kept()
        if paths := list(files):
            memory = self._memory_mib
            with database(self._store.root, memory) as connection:
                new = found(connection, self._store, paths)
            merged = {
                model: open_reads.get(model, {}) | new.get(model, {})
                for model in {*open_reads, *new}
            }
            if merged != open_reads:
                self._keep(merged)
            open_reads = merged
        self._record_reads(open_reads, now)

    def _record_reads(self, open_reads: Rows, now: dt.datetime) -> None:
        last, today = self._last_days(), now.date().isoformat()
        due = {
            model: days
            for model, days in open_reads.items()
            if last.get(model, "") < today
        }
        if due:
            note(self._store, FAIRNESS, due, now=now)
            last |= dict.fromkeys(due, today)
            # After a kill before this, the next entry has these days once more.
            self._keep({it: open_reads[it] for it in open_reads if it not in due})

    def _last_days(self) -> dict[str, str]:
        if self._last is None:
            self._last = {
                entry["details"]["model"]: entry["time"][:10]
                for entry in entries(self._store.chain, ACTION)
                if entry["details"].get("purpose") == FAIRNESS
            }
        return self._last

    def _kept(self) -> Rows:
        try:
            found: Rows = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return found

    def _keep(self, rows: Mapping[str, Mapping[str, int]]) -> None:
        content = json.dumps(rows, sort_keys=True).encode()
        whole_files.write_whole(self._path, content)
