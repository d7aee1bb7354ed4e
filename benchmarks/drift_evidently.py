"""Evidently's part of benchmarks/drift.py; runs in its environment, without ours.

    python drift_evidently.py FOLDER default|binned

`default` is DataDriftPreset as it comes; `binned` has the tests nearest to the
monitor's: the population stability index of numbers, chi-squared of categories.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

METHODS = {
    "default": {},
    "binned": {"num_method": "psi", "cat_method": "chisquare"},
}


def read(path: Path, names: dict[str, str]) -> pd.DataFrame:
    """Return columns of one parquet file under other names."""
    return pq.read_table(path, columns=list(names)).to_pandas().rename(columns=names)


def judge(folder: Path, methods: dict[str, str]) -> list[str]:
    """Return the features that have drifted."""
    reference = pd.read_parquet(folder / "reference.parquet")
    (file,) = (folder / "store" / "predictions").rglob("*.parquet")
    logged = {name: name[2:] for name in pq.read_schema(file).names if name[1:2] == ":"}
    definition = DataDefinition(
        numerical_columns=[name for name in reference if name[0] == "n"],
        categorical_columns=[name for name in reference if name[0] == "c"],
    )
    report = Report([DataDriftPreset(**methods)], include_tests=True)
    result = report.run(
        Dataset.from_pandas(read(file, logged), definition),
        Dataset.from_pandas(reference, definition),
    ).dict()
    return [
        test["metric_config"]["params"]["column"]
        for test in result["tests"]
        if "column" in test["metric_config"]["params"] and test["status"] == "FAIL"
    ]


def most_memory_mib() -> float:
    """Return the most memory of this process. getrusage has that of its parent, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    imports = time.process_time()
    memory = most_memory_mib()
    folder, methods = Path(sys.argv[1]), METHODS[sys.argv[2]]
    drifted = judge(folder, methods)
    found = {
        "drifted": drifted,
        "import_cpu_seconds": imports,
        "import_memory_mib": memory,
        "memory_mib": most_memory_mib(),
    }
    print(json.dumps(found))


main()
