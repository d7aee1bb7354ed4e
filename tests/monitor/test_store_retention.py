"""Retention: days that are over go, the newest and those on hold stay."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_monitor.store import Part, Store, receipts, whole_files
from model_monitor.store.receipts import Receipt
from model_monitor.store.retention import Hold, Retention, retain

from tests.support.monitor_records import NOW

TODAY = NOW.date()


def day(ago: int) -> str:
    return (TODAY - dt.timedelta(days=ago)).isoformat()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Files of several days; what they hold does not matter here."""
    with Store(tmp_path / "store").opened() as opened:
        for ago in (0, 9, 10, 11, 20, 21):
            for model in ("m", "n/o"):
                for table in ("predictions", "protected"):
                    part = Part(day(ago), "07", model, "r")
                    whole_files.write_whole(opened.part(table, part, "f"), b"")
                labels = opened.labels_of(day(ago), model) / "l.parquet"
                whole_files.write_whole(labels, b"")
                whole_files.write_whole(opened.counts_of(day(ago), model), b"{}")
        yield opened


def days(store: Store, table: str, model: str = "m") -> list[int]:
    """How many days ago the files of a table are."""
    found = set()
    for path in (store.root / table).rglob(f"*model={model}*/**/*"):
        if path.is_file():
            keys = dict(part.split("=") for part in path.parts if "=" in part)
            date = keys["date"].removesuffix(".json")
            found.add((TODAY - dt.date.fromisoformat(date)).days)
    return sorted(found)


RETENTION = Retention(raw_days=10, figures_days=20)


def test_raw_data_and_counts_have_periods_of_their_own(store: Store) -> None:
    result = retain(store, RETENTION, NOW)
    for table in ("predictions", "protected", "labels"):
        assert days(store, table) == [0, 9, 10]
    assert days(store, "counts") == [0, 9, 10, 11, 20]
    assert result.deleted == {
        "predictions": 6,
        "protected": 6,
        "labels": 6,
        "counts": 2,
    }
    assert result.is_done
    assert retain(store, RETENTION, NOW).deleted == {}


def test_folders_of_deleted_days_go_too(store: Store) -> None:
    retain(store, RETENTION, NOW)
    left = {path.name for path in store.predictions.iterdir()}
    assert left == {f"date={day(ago)}" for ago in (0, 9, 10)}
    assert store.predictions.is_dir()


def test_a_hold_keeps_a_models_days(store: Store) -> None:
    hold = Hold(TODAY - dt.timedelta(days=20), TODAY - dt.timedelta(days=11), "n/o")
    retain(store, Retention(raw_days=10, figures_days=10, holds=(hold,)), NOW)
    for table in ("predictions", "labels", "counts"):
        assert days(store, table) == [0, 9, 10]
        assert days(store, table, "n%2Fo") == [0, 9, 10, 11, 20]


def test_a_hold_of_all_models(store: Store) -> None:
    hold = Hold(TODAY - dt.timedelta(days=30), TODAY)
    assert retain(store, Retention(0, 0, holds=(hold,)), NOW).deleted == {}


def test_a_call_deletes_so_many_files_the_oldest_first(store: Store) -> None:
    bounded = Retention(raw_days=10, figures_days=20, most_files=2)
    result = retain(store, bounded, NOW)
    assert (result.deleted.total(), result.is_done) == (2, False)
    assert days(store, "predictions") == [0, 9, 10, 11, 20]
    calls = 1
    while not result.is_done:
        result = retain(store, bounded, NOW)
        calls += 1
    assert days(store, "counts") == [0, 9, 10, 11, 20]
    assert calls == 10


def test_results_of_models_that_are_gone(store: Store) -> None:
    for name, ago in (("old", 21), ("new", 20)):
        path = store.results / f"{name}.json"
        path.write_text("{}")
        moment = (NOW - dt.timedelta(days=ago)).timestamp()
        os.utime(path, (moment, moment))
    retain(store, RETENTION, NOW)
    assert [path.name for path in store.results.iterdir()] == ["new.json"]


@pytest.mark.parametrize(("ago", "stays"), [(10, True), (11, False)])
def test_quarantine_is_raw_data(store: Store, ago: int, stays: bool) -> None:
    (store.quarantine / "f.gz").write_bytes(b"x")
    moment = (NOW - dt.timedelta(days=ago)).isoformat()
    (store.quarantine / "f.gz.reason.json").write_text(json.dumps({"time": moment}))
    retain(store, RETENTION, NOW)
    names = {path.name for path in store.quarantine.iterdir()}
    assert names == ({"f.gz", "f.gz.reason.json"} if stays else set())


def test_receipts_are_pruned_by_their_age(store: Store) -> None:
    for name, ago in (("old", 31), ("new", 29)):
        receipts.write(store.received, name, Receipt("0"))
        moment = dt.datetime.now(dt.UTC).timestamp() - ago * 86_400
        os.utime(store.received / name, (moment, moment))
    retain(store, RETENTION, NOW)
    assert receipts.read(store.received, "old") is None
    assert receipts.read(store.received, "new") == Receipt("0")
