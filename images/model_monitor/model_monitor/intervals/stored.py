"""The intervals of a store: one file for each model and day, computed when it changes.

A file names what it was computed from. Whatever ends a pass, the next one computes the
files anew that do not name just what lies there.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from model_monitor.counts.cohort import CohortKey, Inputs
from model_monitor.counts.listing import CohortFiles, Listing
from model_monitor.counts.plan import Plan
from model_monitor.intervals.counting import Counted, count
from model_monitor.intervals.settings import Intervals
from model_monitor.store import whole_files
from model_monitor.store.names import quoted
from model_monitor.store.store import Store

VERSION = 2
"""Version of the counts and their format; files of another version are recomputed."""


class StoredIntervals:
    """Reads and computes the intervals of one model."""

    def __init__(
        self, store: Store, model: str, settings: Intervals, memory_mib: int
    ) -> None:
        self._store, self._model = store, model
        self._settings, self._memory_mib = settings, memory_mib
        self._folder = store.root / "intervals" / f"model={quoted(model)}"
        self._listing = Listing(store)

    def changed(
        self, plan: Plan, today: dt.date, recounted: Collection[CohortKey]
    ) -> list[tuple[CohortKey, CohortFiles]]:
        """Return the days to compute, oldest first; days that are over are removed.

        `recounted`: cohorts whose counts the pass has computed, such as those of which
        a person's rows were erased.
        """
        first = today - dt.timedelta(days=self._settings.days)
        whole_files.make_folder(self._folder)
        for path in self._folder.glob("date=*.json"):
            if path.stem.removeprefix("date=") < first.isoformat():
                whole_files.remove(path)
        cohorts = self._listing.cohorts()
        days = {key for key in cohorts if key.model == self._model}
        days |= {CohortKey(day, self._model) for day in self._days()}
        found = []
        for key in sorted(it for it in days if it.date >= first):
            files = cohorts.get(key, CohortFiles())
            known = self._read(key.date)
            now = self._inputs(files, plan)
            if key in recounted or known is None or known["inputs"] != now.digest:
                found.append((key, files))
        return found

    def compute(self, key: CohortKey, files: CohortFiles, plan: Plan) -> None:
        """Count one day and write it. Raises duckdb.Error."""
        counted = count(self._store, files, plan, self._settings, self._memory_mib)
        content = {
            "version": VERSION,
            "inputs": self._inputs(files, plan).digest,
            "revisions": _listed(counted.revisions),
            "pairs": _listed(counted.pairs),
        }
        whole_files.write_whole(self._path(key.date), json.dumps(content).encode())

    def since(self, moment: int) -> dict[str, Any]:
        """Return what a caller is given: intervals from `moment` (Unix seconds) on."""
        first = dt.datetime.fromtimestamp(moment, dt.UTC).date()
        found: dict[str, dict[str, list[Any]]] = {"revisions": {}, "pairs": {}}
        for day in self._days():
            content = (self._read(day) if day >= first else None) or {}
            for kind, lists in found.items():
                # Days that were counted without pairs have none.
                for revision, intervals in content.get(kind, {}).items():
                    lists.setdefault(revision, []).extend(
                        it for it in intervals if it["start"] >= moment
                    )
        return {"model": self._model, "seconds": self._settings.seconds, **found}

    def _days(self) -> Iterator[dt.date]:
        for path in sorted(self._folder.glob("date=*.json")):
            yield dt.date.fromisoformat(path.stem.removeprefix("date="))

    def _inputs(self, files: CohortFiles, plan: Plan) -> Inputs:
        digest = f"{VERSION}/{plan.digest}/{self._settings.digest}"
        return Inputs(files.relative(self._store.root), digest)

    def _read(self, day: dt.date) -> Mapping[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._path(day).read_bytes())
        except (OSError, ValueError):
            return None
        return found if found.get("version") == VERSION else None

    def _path(self, day: dt.date) -> Path:
        return self._folder / f"date={day.isoformat()}.json"


def _listed(counted: Counted) -> dict[str, list[dict[str, Any]]]:
    return {
        revision: [{"start": start, **one} for start, one in sorted(intervals.items())]
        for revision, intervals in sorted(counted.items())
    }
