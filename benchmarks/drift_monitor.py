"""The monitor's part of benchmarks/drift.py, in processes of its own.

    python -m benchmarks.drift_monitor import|judge FOLDER

`judge` does what a cycle does with a day that changed: counts its files, writes the
counts, and decides.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from model_monitor import config
from model_monitor.counts.cohort_counts import CohortCounts
from model_monitor.counts.plan import Plan, Task
from model_monitor.counts.reference import read_reference
from model_monitor.figures import drift
from model_monitor.store import Store

MODEL = "m"
MEMORY_MIB = 384
"""The default of the monitor's configuration."""


def take_in(folder: Path) -> None:
    from model_monitor.backfill import backfill
    from model_monitor.column_mapping import ColumnMapping

    reference = read_reference(folder / "reference.json")
    features = tuple(it.name for it in reference.features)
    mapping = ColumnMapping(date="2026-11-01", features=features)
    with Store(folder / "store").opened() as store:
        backfill(store, MODEL, mapping, folder / "window.parquet")


def judge(folder: Path) -> list[str]:
    """Return the features that have drifted."""
    reference = read_reference(folder / "reference.json")
    plan = Plan(Task.BINARY, reference=reference)
    with Store(folder / "store").opened() as store:
        counts = CohortCounts(store, MEMORY_MIB)
        for key in counts.stored():
            counts.remove(key)
        ((key, files),) = counts.changed({MODEL: plan})
        cohort = counts.compute(key, files, plan)
    (revision,) = cohort.revisions
    day = drift.of_day(cohort.of(revision), reference, plan.task, config.Drift())
    return list(day.drifted)


def most_memory_mib() -> float:
    """Return the most memory of this process. getrusage has that of its parent, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    imports = time.process_time()
    memory = most_memory_mib()
    step, folder = sys.argv[1], Path(sys.argv[2])
    if step == "import":
        take_in(folder)
        return
    drifted = judge(folder)
    found = {
        "drifted": drifted,
        "import_cpu_seconds": imports,
        "import_memory_mib": memory,
        "memory_mib": most_memory_mib(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
