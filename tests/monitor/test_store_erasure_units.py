"""Erasure of a caller whom an experiment assigned, by the hash in `unit`."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_monitor.labels import LabelJoin, import_labels
from model_monitor.store import Store, ingest
from model_monitor.store.erasure import ErasureReceipt, erase, hash_of

from tests.support.monitor_records import (
    NOW,
    label,
    land,
    prediction,
    protected,
    rows,
    text,
)

CALLER, OTHER = "5f1c" * 8, "0a2b" * 8


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def records(start: str, unit: str) -> list[dict[str, Any]]:
    return [
        prediction(id=f"{start}{hour}", unit=unit, time=f"2026-11-29T{hour}:00:00Z")
        for hour in ("09", "10")
    ]


def erased(store: Store) -> ErasureReceipt:
    return erase(
        store,
        "unit",
        CALLER,
        value_hash=hash_of("unit", CALLER, b"key"),
        actor="ann",
        now=NOW,
    )


def ids(store: Store, table: str) -> list[str]:
    return sorted(row["id"] for row in rows(store.root / table))


def test_all_of_a_caller_goes_and_nothing_else(store: Store, tmp_path: Path) -> None:
    land(store, [*records("s", CALLER), *records("o", OTHER)])
    kept = [protected(id=f"{who}09", time="2026-11-29T09:00:00Z") for who in "so"]
    land(store, kept, "protected-h-1.jsonl.gz")
    ingest(store, now=lambda: NOW)
    (tmp_path / "l.jsonl").write_bytes(text([label(id="s09"), label(id="o09")]))
    import_labels(store, tmp_path / "l.jsonl", now=NOW)
    LabelJoin(store).run(NOW)
    receipt = erased(store)
    assert receipt.rows == {"predictions": 2, "protected": 1, "labels": 1}
    assert ids(store, "predictions") == ["o09", "o10"]
    assert ids(store, "protected") == ["o09"]
    assert ids(store, "labels") == ["o09"]


def test_lines_in_quarantine_go_whole_or_broken(store: Store) -> None:
    bad = [
        prediction(id="s1", row=-1, unit=CALLER),
        prediction(id="o1", row=-1, unit=OTHER),
        b'{"id": "s2", "unit": "%b"' % CALLER.encode(),
        b'{"id": "o2", "unit": "%b"' % OTHER.encode(),
    ]
    land(store, bad, "predictions-h-bad.jsonl.gz")
    ingest(store, now=lambda: NOW)
    assert erased(store).rows == {"quarantine": 2}
    (file,) = store.quarantine.glob("*.gz")
    content = gzip.decompress(file.read_bytes())
    assert CALLER.encode() not in content
    assert content.count(OTHER.encode()) == 2


def test_a_feature_of_that_name_is_found_too(store: Store) -> None:
    without = [
        prediction(id=f"f{who}", features={"unit": who}) for who in (CALLER, "x")
    ]
    land(store, [*without, *records("s", CALLER)])
    ingest(store, now=lambda: NOW)
    assert erased(store).rows == {"predictions": 3}
    assert ids(store, "predictions") == ["fx"]


def test_a_store_without_experiments_has_nothing_to_erase(store: Store) -> None:
    land(store, [prediction(id="a")])
    ingest(store, now=lambda: NOW)
    assert erased(store).rows == {}
    assert ids(store, "predictions") == ["a"]
