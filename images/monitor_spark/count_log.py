"""Counts a prediction log by Spark: files of counts as the model monitor writes them.

The program of a Spark job (docs/how-to/spark.md). A day whose counts are there already,
of the same files and settings, is left as it is, so that a repetition goes on where the
run before ended.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from model_monitor.counts import spark_counts
from model_monitor.counts.cohort import Cohort, CohortKey, Inputs, read_head
from model_monitor.counts.counting import BinnedColumns, CountsError
from model_monitor.counts.listing import CohortFiles, Listing
from model_monitor.counts.plan import Plan, Task
from model_monitor.counts.reference import (
    UnreadableReferenceError,
    Variable,
    read_reference,
)
from model_monitor.store import whole_files
from model_monitor.store.store import Store
from pyspark.sql import SparkSession
from pyspark.sql import functions as f

BAD_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: the job is not tried again."""
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    # Otherwise a version 1.10 in a folder's name is read as 1.1.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
}
Files = Mapping[dt.date, CohortFiles]


class Session:
    """Spark as an engine of the count queries, in this process."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session

    def rows(self, sql: str) -> list[list[Any]]:
        found = self._session.sql(spark_counts.translated(sql)).collect()
        return [list(row) for row in found]

    def keep(self, name: str, sql: str) -> None:
        frame = self._session.sql(spark_counts.translated(sql))
        frame.cache().createOrReplaceTempView(name)

    def bins(
        self, columns: Mapping[str, Variable], others: Sequence[str]
    ) -> BinnedColumns:
        """Return nothing: all columns are counted by `queries.slots`."""
        del columns, others
        return {}

    def open(self, name: str, files: Iterable[Path]) -> list[str]:
        reader = self._session.read.option("mergeSchema", "true")
        frame = reader.parquet(*(f"file:{path}" for path in files))
        frame = frame.select(
            "*",
            f.col("_metadata.file_name").alias("file_name"),
            f.col("_metadata.row_index").alias("file_row"),
            f.regexp_extract("_metadata.file_path", "/date=([^/]+)/", 1).alias(
                "file_date"
            ),
        )
        frame.createOrReplaceTempView(name)
        return list(frame.columns)

    def forget(self) -> None:
        """Drop what was kept."""
        self._session.catalog.clearCache()


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="count_log.py", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="the monitor's store")
    parser.add_argument(
        "--out", type=Path, required=True, help="where counts/ is written to"
    )
    parser.add_argument("--model", required=True, help="name of the model in the log")
    parser.add_argument(
        "--reference", type=Path, required=True, help="the model's reference.json"
    )
    parser.add_argument("--task", type=Task, choices=list(Task), default=Task.BINARY)
    parser.add_argument("--positive", default="1", help="the positive class")
    parser.add_argument(
        "--protected", default="", help="protected attributes, with commas between"
    )
    for option, which in (("--first", "first"), ("--last", "last")):
        parser.add_argument(
            option, type=dt.date.fromisoformat, help=f"{which} day, as 2026-11-29"
        )
    parser.add_argument(
        "--days", type=_days, default=31, help="days that are counted in one pass"
    )
    options = parser.parse_args(words)
    if options.first and options.last and options.first > options.last:
        parser.error(f"--first {options.first} is after --last {options.last}")
    return options


class _Parser(argparse.ArgumentParser):
    """Ends with the status of wrong settings, which no retry repairs."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_CONFIGURATION, f"{self.prog}: error: {message}\n")


def _days(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give 1 or more")
    return int(text)


def wanted(options: argparse.Namespace, plan: Plan) -> Files:
    """Return the files of the days to be counted."""
    store, out = Store(options.store), Store(options.out)
    found = {}
    for key, files in Listing(store).cohorts().items():
        if key.model != options.model or not _is_asked(options, key.date):
            continue
        head = read_head(out.counts_of(key.date.isoformat(), key.model))
        if head is None or head.inputs != _inputs(store, files, plan):
            found[key.date] = files
    return found


def _is_asked(options: argparse.Namespace, date: dt.date) -> bool:
    first, last = options.first or dt.date.min, options.last or dt.date.max
    return bool(first <= date <= last)


def _inputs(store: Store, files: CohortFiles, plan: Plan) -> Inputs:
    return Inputs(files.relative(store.root), plan.digest)


def run(engine: Session, options: argparse.Namespace, plan: Plan) -> None:
    """Count all days that are wanted, and write the counts. Raises CountsError."""
    store, out = Store(options.store), Store(options.out)
    days = sorted(wanted(options, plan).items())
    print(f"{len(days)} days to count of {options.model}", flush=True)
    for start in range(0, len(days), options.days):
        part, began = dict(days[start : start + options.days]), time.monotonic()
        rows = 0
        for date, day in spark_counts.count_days(engine, plan, part).items():
            cohort = Cohort(
                CohortKey(date, options.model),
                _inputs(store, part[date], plan),
                day.segments,
                bins=plan.reference.bins_digest(),
                newest_label=day.newest_label,
            )
            rows += sum(it.answered for it in day.segments.values())
            path = out.counts_of(date.isoformat(), options.model)
            whole_files.write_whole(path, cohort.content())
        engine.forget()
        seconds = time.monotonic() - began
        print(f"{len(part)} days, {rows} predictions: {seconds:.1f} s", flush=True)


def main(words: Sequence[str]) -> int:
    """Return the exit status."""
    os.environ["TZ"] = "UTC"  # Spark's times come as those of this process's zone
    time.tzset()
    options = _arguments(words)
    try:
        reference = read_reference(options.reference)
    except UnreadableReferenceError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_CONFIGURATION
    attributes = tuple(filter(None, re.split(r"\s*,\s*", options.protected.strip())))
    plan = Plan(options.task, options.positive, attributes, reference)
    builder = SparkSession.builder.appName("count-log")
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    try:
        run(Session(session), options, plan)
    except CountsError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_CONFIGURATION
    finally:
        session.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
