"""Spark counts the same files by the same query texts, and finds what DuckDB finds.

Needs Java 17 and Spark, and is skipped without them. With SPARK=1 in the environment,
Spark is installed into the cache once.
"""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from model_monitor.backfill import EVERYTHING_DAYS, backfill
from model_monitor.column_mapping import ColumnMapping
from model_monitor.counts import codec
from model_monitor.counts.cohort import SHADOW, Segment
from model_monitor.counts.cohort_counts import CohortCounts
from model_monitor.counts.counts import Counts
from model_monitor.counts.plan import Plan, Task
from model_monitor.counts.reference import Reference, Variable, read_reference
from model_monitor.labels import LabelJoin
from model_monitor.store import Limits, Store

from tests.support import spark_engine
from tests.support.census import write_files, write_reference
from tests.support.monitor_logs import (
    Label,
    Member,
    Row,
    put_labels,
    put_predictions,
    put_protected,
)

SUMS = 1e-12
"""Relative tolerance of sums, which the engines add up in another order."""
DAY = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
WORDS = ["5", " 7 ", "+3", ".5", "-2.e1", "1e400", "inf", "nan", "", "word", "7\n"]
WORDS += ["1_000", "5d", "5f", "0x1p3", "+nan", "--1", "٣"]
"""Of these each engine reads some as numbers that the other takes for words."""
EDGES = tuple(np.sort(np.random.default_rng(9).random(40)).tolist())
"""With so many digits that DuckDB takes decimals of seven of them for neighbours."""

pytestmark = [
    pytest.mark.optional,
    pytest.mark.skipif(
        bool(spark_engine.reason_to_skip()), reason=spark_engine.reason_to_skip() or "-"
    ),
]


@pytest.fixture(scope="module")
def spark() -> Iterator[spark_engine.SparkEngine]:
    with spark_engine.spark() as engine:
        yield engine


def by_both(
    store: Store, plan: Plan, spark: spark_engine.SparkEngine
) -> tuple[dict[Segment, Counts], dict[Segment, Counts]]:
    """Counts of the store's only cohort by DuckDB and by Spark."""
    counts = CohortCounts(store, 256)
    ((key, files),) = counts.changed({"m": plan})
    ours = counts.compute(key, files, plan)
    theirs = spark_engine.counts_of(spark, plan, key.date, files)
    assert theirs.newest_label == ours.newest_label
    return dict(ours.segments), theirs.segments


def assert_equal(ours: object, theirs: object, where: str = "") -> None:
    """All whole numbers and names are equal; sums to SUMS."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        assert list(ours) == list(theirs), where
        for key, value in ours.items():
            assert_equal(value, theirs[key], f"{where}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for number, (left, right) in enumerate(zip(ours, theirs, strict=True)):
            assert_equal(left, right, f"{where}[{number}]")
    elif isinstance(ours, float) and isinstance(theirs, float):
        assert theirs == pytest.approx(ours, rel=SUMS, abs=1e-300), where
    else:
        assert type(ours) is type(theirs), where
        assert ours == theirs, where


def plain(segments: dict[Segment, Counts]) -> dict[str, Any]:
    return {str(it): codec.to_json(segments[it]) for it in sorted(segments)}


def test_of_a_day_of_the_census(
    tmp_path: Path, spark: spark_engine.SparkEngine
) -> None:
    """Labels come twice, some corrected; a tenth of the day is imported twice."""
    reference = read_reference(write_reference(tmp_path))
    answers, labels = write_files(tmp_path)
    mapping = ColumnMapping(
        id="id",
        time="moment",
        decision="prediction",
        score="predicted_probability",
        features=tuple(it.name for it in reference.features),
        label="employed",
        label_time="known",
        protected=("SEX", "RAC1P"),
        revision="sha256:1",
    )
    day, again, known = (tmp_path / f"{it}.parquet" for it in ("day", "again", "known"))
    chosen = f"from read_parquet('{answers}') where year = 2018 and id % 3 = 0"
    duckdb.execute(f"copy (select * {chosen}) to '{day}'")
    duckdb.execute(f"copy (select * {chosen} and id % 10 = 0) to '{again}'")
    duckdb.execute(
        f"copy (select * from read_parquet('{labels}') "
        f"where id in (select id {chosen})) to '{known}'"
    )
    plan = Plan(Task.BINARY, attributes=("SEX", "RAC1P"), reference=reference)
    with Store(tmp_path / "store").opened() as store:
        limits = Limits(retention_days=EVERYTHING_DAYS)
        backfill(store, "m", mapping, day, known, limits=limits)
        backfill(store, "m", replace(mapping, revision="sha256:2"), again)
        LabelJoin(store, limits=limits).run()
        ours, theirs = by_both(store, plan, spark)
    total = sum((it for it in ours.values()), Counts())
    (rows,) = duckdb.execute(f"select count(*) {chosen}").fetchone() or (0,)
    assert total.answered == total.labelled == rows > 20_000
    assert all(it.features for it in ours.values())
    assert_equal(plain(ours), plain(theirs))


def strange_rows() -> tuple[list[Row], list[Label], list[Member]]:
    """Three revisions, refusals, duplicates, and values that engines may read apart."""
    chance = random.Random(20261129)
    numbers = [*EDGES, *(math.nextafter(it, 1) for it in EDGES), -1.0, 0.0, -0.0, 1e200]
    numbers += [math.nan, math.inf, -math.inf, None]
    rows, labels, members = [], [], []
    for number in range(1200):
        refused = chance.random() < 0.1
        time = DAY + dt.timedelta(microseconds=chance.randrange(86_400_000_000))
        row = Row(
            id=f"ä-{number // 2}-{chance.randrange(2)}",
            row=number % 2,
            time=time,
            revision=chance.choice(["1.10", "sha256:b/c", "5d"]),
            arm=chance.choice(["stable", "canary"]),
            code=chance.choice(["full", "model_failed"]) if refused else None,
            decision=None if refused else chance.choice(["0", "1", "it's"]),
            decision_number=None if refused else chance.choice([0.1, 2.5, math.nan]),
            score=chance.choice([None, 0.0, 1.0, 0.5, 1.5, math.nan, chance.random()]),
            features={
                "number": chance.choice(numbers),
                "text": chance.choice(WORDS),
                "kind": chance.choice([1, 2, 0.1, 7, None, math.nan]),
                "kind of text": chance.choice(["a", "A", "ä", "it's", "", None]),
            },
        )
        rows.append(row)
        for late in range(chance.randrange(3)):
            label = chance.choice(["0", "1", "it's", None])
            when = time + dt.timedelta(days=late)
            size = chance.choice([None, 0.1, 1e160, chance.random()])
            labels.append(Label(row.id, label, when, DAY.date(), row.row, size))
        if chance.random() < 0.8:
            group = {"sex": chance.choice(["f", "m", "ä"])}
            members.append(Member(row.id, time, group, row.row, row.revision))
    return rows, labels, members


def copied(row: Row) -> Row:
    """A copy of the request, with its id, that was answered before."""
    time = DAY + (row.time - DAY) / 2
    return replace(row, time=time, revision="5d", arm=SHADOW)


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_of_values_that_engines_read_apart(
    tmp_path: Path, spark: spark_engine.SparkEngine, task: Task
) -> None:
    reference = Reference(
        features=(
            Variable("number", edges=EDGES, counts=(1,) * 39),
            Variable("text", edges=(0.0, 1.0, 7.0, 8.0), counts=(1,) * 3),
            Variable("kind", categories=("1", "0.1", "2"), counts=(1,) * 3),
            Variable("kind of text", categories=("a", "it's", "ä"), counts=(1,) * 3),
        )
    )
    plan = Plan(task, attributes=("sex",), reference=reference)
    rows, labels, members = strange_rows()
    with Store(tmp_path).opened() as store:
        for number in range(2):
            put_predictions(store, f"p{number}", rows[number::2], "m")
            put_protected(store, f"p{number}", members[number::2], "m")
        put_predictions(store, "q", rows[::7], "m")
        put_predictions(store, "copies", [copied(it) for it in rows[::5]], "m")
        put_labels(store, "l", labels, "m")
        ours, theirs = by_both(store, plan, spark)
    assert len(ours) == 7
    numbers = sum((it for it in ours.values()), Counts()).features["number"]
    assert min(numbers.bins) > 0
    assert sum(it.features["text"].unseen for it in ours.values()) > 100
    assert_equal(plain(ours), plain(theirs))


def test_an_error_of_spark_is_reported(spark: spark_engine.SparkEngine) -> None:
    with pytest.raises(spark_engine.SparkError, match="no_such_column"):
        spark.rows("select no_such_column from (select 1 as a) as t")
