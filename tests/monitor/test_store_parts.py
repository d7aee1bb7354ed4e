"""One landed file of many hours, models and revisions: each row is in its own file."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pytest
from model_monitor.store import Part, Store, ingest
from model_monitor.store.parts import _PARTS

from tests.support.monitor_records import NAME, NOW, land, prediction, rows

HOURS = 2 * _PARTS + 7


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def at(hour: int) -> dt.datetime:
    return NOW - dt.timedelta(hours=hour + 1, minutes=20)


def record(number: int, hour: int, **changes: Any) -> dict[str, Any]:
    moment = at(hour).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return prediction(id=f"{number:04}", time=moment, **changes)


def expected(records: list[dict[str, Any]]) -> dict[Part, list[str]]:
    """Ids by part, in the order of lines."""
    found = defaultdict[Part, list[str]](list)
    for it in records:
        moment = dt.datetime.fromisoformat(it["time"])
        part = Part(
            moment.strftime("%Y-%m-%d"),
            moment.strftime("%H"),
            it["model"],
            it["revision"],
        )
        found[part].append(it["id"])
    return found


def stored(store: Store) -> dict[Part, list[str]]:
    found = defaultdict[Part, list[str]](list)
    pattern = f"{store.predictions}/*/*/*/*/{NAME}.parquet"
    read = f"read_parquet('{pattern}', filename = true, file_row_number = true, "
    with duckdb.connect() as connection:
        ids = connection.execute(
            f"select filename, id from {read} union_by_name = true, "
            "hive_partitioning = false) order by filename, file_row_number"
        ).fetchall()
    for path, identifier in ids:
        keys = [unquote(it.partition("=")[2]) for it in Path(path).parts[-5:-1]]
        found[Part(*keys)].append(identifier)
    return found


def test_more_hours_than_one_statement_writes(store: Store) -> None:
    numbers = list(range(3 * HOURS))
    random.Random(1).shuffle(numbers)
    records = [record(number, number % HOURS) for number in numbers]
    land(store, records)
    ingest(store, now=lambda: NOW)
    wanted = expected(records)
    assert len(wanted) == HOURS
    assert stored(store) == wanted
    assert len(list(store.predictions.rglob("*.parquet"))) == HOURS
    assert not list(store.predictions.rglob(".tmp-*"))


def test_models_and_revisions_of_the_same_hours(store: Store) -> None:
    records = [
        record(
            number,
            number % 5,
            model=f"m'{number % 3}",
            revision=f"r{number % 2}",
            # Each hour has other columns than the others.
            features={f"h{number % 5}": "x" if number % 5 == 1 else number},
        )
        for number in range(90)
    ]
    land(store, records)
    ingest(store, now=lambda: NOW)
    wanted = expected(records)
    assert len(wanted) == 30
    assert stored(store) == wanted
    for part in [it for it in wanted if it.model == "m'1"]:
        (row, *_) = rows(store.part("predictions", part, NAME).parent)
        names = [it for it in row if it[:2] in ("x:", "t:")]
        hour = (int(NOW.strftime("%H")) - 2 - int(part.hour)) % 24
        assert names == [f"{'t' if hour == 1 else 'x'}:h{hour}"]
