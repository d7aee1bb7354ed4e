"""Spark as an engine of the monitor's count queries, on the files of one cohort."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model_monitor.counts import spark_counts
from model_monitor.counts.counting import BinnedColumns
from model_monitor.counts.listing import CohortFiles
from model_monitor.counts.plan import Plan
from model_monitor.counts.reference import Variable

from toolchain import own_venv

REQUIREMENTS = Path(__file__).parents[1] / "monitor/requirements-spark.txt"
SCRIPT = Path(__file__).with_name("spark_run.py")
WANTED = "SPARK"
"""Variable of the environment that has Spark installed (500 MB) where it is not."""
RUN_SECONDS = 1200.0


def reason_to_skip() -> str:
    """Why Spark cannot run here; empty if it can."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        return "no Java (17 or later)"
    if not own_venv.is_here(REQUIREMENTS) and WANTED not in os.environ:
        return f"Spark is not installed: {WANTED}=1 installs 500 MB into the cache"
    return ""


class SparkError(Exception):
    """Spark could not run a query, or ended."""


class SparkEngine:
    """Runs SQL of DuckDB's dialect on a local Spark, after SQLGlot's translation."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def rows(self, sql: str) -> list[list[Any]]:
        found: list[list[Any]] = self._ask({"sql": spark_counts.translated(sql)})[
            "rows"
        ]
        return found

    def keep(self, name: str, sql: str) -> None:
        self._ask({"keep": name, "sql": spark_counts.translated(sql)})

    def bins(
        self, columns: Mapping[str, Variable], others: Sequence[str]
    ) -> BinnedColumns:
        """Return nothing: all columns are counted by `queries.slots`."""
        del columns, others
        return {}

    def open(self, name: str, files: Iterable[Path]) -> list[str]:
        """Make a relation of parquet files; return its columns."""
        asked = {"open": name, "files": [str(path) for path in files]}
        columns: list[str] = self._ask(asked)["columns"]
        return columns

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SparkError(f"ended with {self._process.wait()}, asked {asked}")
        found: dict[str, Any] = json.loads(line, object_hook=_with_times)
        if "error" in found:
            raise SparkError(f"{found['error']}\n{asked}")
        return found


def _with_times(value: dict[str, Any]) -> Any:
    return dt.datetime.fromisoformat(value["time"]) if set(value) == {"time"} else value


@contextmanager
def spark() -> Iterator[SparkEngine]:
    """Run a local Spark for a while; it is ended after RUN_SECONDS at the latest."""
    process = subprocess.Popen(
        [str(own_venv.python(REQUIREMENTS)), "-I", str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"},
    )
    limit = threading.Timer(RUN_SECONDS, process.kill)
    limit.start()
    try:
        with process:
            yield SparkEngine(process)
    finally:
        limit.cancel()


def counts_of(
    engine: SparkEngine, plan: Plan, date: dt.date, files: CohortFiles
) -> spark_counts.Day:
    """Return the counts of one cohort's files."""
    return spark_counts.count_days(engine, plan, {date: files})[date]
