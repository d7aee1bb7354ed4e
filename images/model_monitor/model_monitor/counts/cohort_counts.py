"""The counts of a store: which cohorts have changed, and their counts anew.

A cohort's counts name the files that they were computed from. Nothing else is
remembered: after a kill at any point, the counts that do not name just the files that
lie there are computed again.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from urllib.parse import unquote

from model_monitor.counts.cohort import (
    Cohort,
    CohortKey,
    Head,
    Inputs,
    Segment,
    read_head,
)
from model_monitor.counts.counting import count
from model_monitor.counts.counts import Counts
from model_monitor.counts.duckdb_engine import DuckDbEngine
from model_monitor.counts.listing import CohortFiles, Listing
from model_monitor.counts.plan import Plan
from model_monitor.store import whole_files
from model_monitor.store.database import database
from model_monitor.store.store import Store


class CohortCounts:
    """Reads and computes the counts of one store."""

    def __init__(self, store: Store, memory_mib: int) -> None:
        self._store, self._memory_mib = store, memory_mib
        self._listing = Listing(store)
        self._heads: dict[Path, tuple[tuple[int, int], Head | None]] = {}

    def changed(
        self,
        plans: Mapping[str, Plan],
        is_frozen: Callable[[CohortKey], bool] = lambda _: False,
        any_plan: Collection[str] = (),
    ) -> list[tuple[CohortKey, CohortFiles]]:
        """Return the cohorts whose counts are not those of their files, oldest first.

        `plans` is by model; cohorts of other models are left out. Frozen cohorts keep
        the counts that they have: their files are being deleted for their age. Counts
        of models in `any_plan` are good if their files are, whatever they were made by.
        """
        cohorts = self._listing.cohorts()
        found = []
        for key in sorted({*cohorts, *self.stored()}):
            if key.model not in plans:
                continue
            # Without any file, the last one was erased: the counts become empty.
            files = cohorts.get(key, CohortFiles())
            head = self.head(key)
            plan = plans[key.model].digest
            if head is not None and key.model in any_plan:
                plan = head.inputs.plan
            now = Inputs(files.relative(self._store.root), plan)
            if head is None or (head.inputs != now and not is_frozen(key)):
                found.append((key, files))
        return found

    def compute(self, key: CohortKey, files: CohortFiles, plan: Plan) -> Cohort:
        """Count a cohort and write the counts. Raises CountsError."""
        segments: dict[Segment, Counts] = {}
        with database(
            self._store.root, self._memory_mib, reads_records=False
        ) as connection:
            engine = DuckDbEngine(connection)
            newest = engine.open_labels(list(files.labels))
            protected = engine.open_protected(list(files.protected), plan.attributes)
            features = [it.name for it in plan.reference.features]
            for columns in engine.chunks(list(files.predictions), features):
                found = count(engine, plan, columns, protected=protected)
                for number, part in found.items():
                    segment = engine.segments[number]
                    known = segments.get(segment)
                    segments[segment] = part if known is None else known + part
        cohort = Cohort(
            key,
            Inputs(files.relative(self._store.root), plan.digest),
            segments,
            bins=plan.reference.bins_digest(),
            newest_label=newest,
        )
        whole_files.write_whole(self._path(key), cohort.content())
        return cohort

    def stored(self) -> list[CohortKey]:
        """Return the cohorts that have counts, oldest first."""
        found = []
        for folder in self._store.counts.glob("model=*"):
            model = unquote(folder.name.removeprefix("model="))
            for path in folder.glob("date=*.json"):
                date = path.stem.removeprefix("date=")
                found.append(CohortKey(dt.date.fromisoformat(date), model))
        return sorted(found)

    def load(self, key: CohortKey) -> Cohort | None:
        """Return the counts of a cohort; None if there are none that can be read."""
        try:
            return Cohort.of_json(json.loads(self._path(key).read_bytes()))
        except (OSError, KeyError, TypeError, ValueError):
            return None

    def remove(self, key: CohortKey) -> None:
        whole_files.remove(self._path(key))

    def head(self, key: CohortKey) -> Head | None:
        """Return the head of a cohort's counts, from memory if the file is the same."""
        path = self._path(key)
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        # A rename gives the file another number, whatever the resolution of times.
        mark = (status.st_ino, status.st_mtime_ns)
        known = self._heads.get(path)
        if known is None or known[0] != mark:
            known = self._heads[path] = mark, read_head(path)
        return known[1]

    def _path(self, key: CohortKey) -> Path:
        return self._store.counts_of(key.date.isoformat(), key.model)
