"""Retention: days that are over are deleted, unless a legal hold keeps them."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from model_monitor.store import quarantine, receipts
from model_monitor.store.store import Store


@dataclass(frozen=True)
class Hold:
    """Days that must be kept. Without a model, of all models."""

    first: dt.date
    last: dt.date
    model: str = ""

    def covers(self, day: dt.date, model: str) -> bool:
        """Tell whether it keeps a model's day; "" is data of unknown models."""
        is_of_model = not self.model or not model or self.model == model
        return is_of_model and self.first <= day <= self.last


@dataclass(frozen=True)
class Retention:
    """Number of days to keep, without today."""

    raw_days: int = 180
    """Predictions, protected attributes, labels and quarantine."""
    figures_days: int = 400
    """Counts and results."""
    receipts_days: int = 30
    """For so long a file that comes again is known by its name."""
    holds: tuple[Hold, ...] = ()
    most_files: int = 10_000
    """Number of files that one call deletes."""


@dataclass
class Retained:
    """The result of a call."""

    deleted: Counter[str] = field(default_factory=Counter)
    """Files by the folder of the store."""
    is_done: bool = True
    """Whether nothing is left to delete; otherwise call again."""


def retain(
    store: Store, retention: Retention, now: dt.datetime | None = None
) -> Retained:
    """Delete what is older than the retention, the oldest days first."""
    today = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC).date()
    result = Retained()
    folders = set[Path]()
    for table, path in _old(store, retention, today):
        if result.deleted.total() == retention.most_files:
            result.is_done = False
            break
        path.unlink(missing_ok=True)
        result.deleted[table] += 1
        folders.add(path.parent)
    for folder in sorted(folders):
        _remove_empty(folder, store.root)
    for folder in (store.received, store.imported):
        receipts.prune(folder, retention.receipts_days, retention.most_files)
    return result


def _old(
    store: Store, retention: Retention, today: dt.date
) -> Iterator[tuple[str, Path]]:
    """Yield each file that is to go, with its table."""
    raw = today - dt.timedelta(days=retention.raw_days)
    figures = today - dt.timedelta(days=retention.figures_days)
    for first_kept, files in (
        (raw, _records(store, raw)),
        (figures, _figures(store)),
        (raw, _quarantined(store)),
    ):
        for table, path, day, model in files:
            if day < first_kept and not any(
                hold.covers(day, model) for hold in retention.holds
            ):
                yield table, path


_Dated = Iterator[tuple[str, Path, dt.date, str]]
"""Table, path, day and model of files, the oldest first."""


def _records(store: Store, first_kept: dt.date) -> _Dated:
    for table in ("predictions", "protected", "labels"):
        for folder in sorted((store.root / table).glob("date=*")):
            day = _day(folder)
            if day >= first_kept:
                break
            for path in sorted(folder.rglob("*.parquet")):
                yield table, path, day, _model(path)


def _figures(store: Store) -> _Dated:
    for path in sorted(
        store.counts.glob("model=*/date=*.json"), key=lambda it: (it.name, it)
    ):
        yield "counts", path, _day(path), _model(path)
    for path in sorted(store.results.glob("*.json")):
        day = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC).date()
        yield "results", path, day, unquote(path.stem)


def _quarantined(store: Store) -> _Dated:
    for report in sorted(store.quarantine.glob(f"*{quarantine.REASON}")):
        moment = dt.datetime.fromisoformat(json.loads(report.read_text())["time"])
        content = report.with_name(report.name.removesuffix(quarantine.REASON))
        # The report goes last: it says how old the other is.
        for path in (content, report):
            yield "quarantine", path, moment.date(), ""


def _day(path: Path) -> dt.date:
    return dt.date.fromisoformat(path.name.removesuffix(".json").partition("=")[2])


def _model(path: Path) -> str:
    """Return the model of a path with a folder `model=M`."""
    for part in path.parts:
        if part.startswith("model="):
            return unquote(part.removeprefix("model="))
    return ""


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove a folder and those above it, as far as they are empty."""
    with suppress(OSError):
        while folder.parent not in (root, folder):
            folder.rmdir()
            folder = folder.parent
