"""The intervals of all models whose revisions a rollout compares, cycle by cycle."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import duckdb

from model_monitor.config import Config
from model_monitor.counts.cohort import CohortKey
from model_monitor.counts.plan import Plan
from model_monitor.intervals.stored import StoredIntervals
from model_monitor.store import Store

logger = logging.getLogger("model_monitor.intervals")


class IntervalCounts:
    """Computes what has changed; used by the cycle's thread."""

    def __init__(self, config: Config, store: Store) -> None:
        self._stored = {
            it.name: StoredIntervals(store, it.name, it.intervals, config.memory_mib)
            for it in config.models
            if it.intervals
        }

    def run(
        self,
        plans: Mapping[str, Plan],
        today: dt.date,
        recounted: Collection[CohortKey],
        note: Callable[[list[Path]], None],
        step: Callable[[], None],
    ) -> None:
        """Compute the days that have changed.

        `note` is called with files of protected attributes before they are read, and
        `step` between two days. A day that cannot be read is logged and left out, so a
        rollout that needs it keeps waiting.
        """
        for name, stored in self._stored.items():
            plan = plans[name]
            for key, files in stored.changed(plan, today, recounted):
                step()
                note(list(files.protected))
                try:
                    stored.compute(key, files, plan)
                except duckdb.Error as error:
                    extra = {"model": name, "day": key.date.isoformat()}
                    text = f"intervals were not counted: {error}"
                    logger.warning(text.partition("\n")[0], extra=extra)
