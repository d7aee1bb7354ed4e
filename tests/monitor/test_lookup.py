"""A prediction is found by its id: in the store, its labels, or where it waits."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_monitor import __main__ as program
from model_monitor.labels import import_labels
from model_monitor.lookup import find
from model_monitor.store import Store
from model_monitor.store.ingest import ingest

from tests.support.monitor_records import (
    LEFT_OUT,
    NAME,
    NOW,
    label,
    land,
    prediction,
    protected,
    text,
)

PLANTED = "planted-4711"
EARLIER = "2026-11-27T08:00:00.000001Z"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as store:
        yield store


def take(store: Store, records: list[dict[str, Any]], name: str = NAME) -> None:
    land(store, records, name)
    assert ingest(store, now=lambda: NOW).files == {"ingested": 1}


def test_rows_come_in_order_and_each_once(store: Store) -> None:
    rows = [prediction(row=it, decision=it) for it in (2, 0, 1)]
    take(store, [*rows, prediction(id="a11"), prediction(id="a")])
    take(store, rows, NAME.replace("000001", "000002"))
    found = find(store, "a1")
    assert [it["row"] for it in found.records] == [0, 1, 2]
    assert [it["decision"] for it in found.records] == ["0", "1", "2"]
    assert (found.rows, found.is_there, found.files) == (3, True, 2)
    assert find(store, "a1", limit=2).rows == 3
    assert len(find(store, "a1", limit=2).records) == 2


def test_a_refused_request_and_a_repeated_one_are_two(store: Store) -> None:
    gone = dict.fromkeys(("features", "decision", "score"), LEFT_OUT)
    refused = {"status": 429, "code": "overloaded", **gone}
    take(store, [prediction(**refused), prediction(time="2026-11-29T13:30:11Z")])
    assert [it["status"] for it in find(store, "a1").records] == [429, 200]


def test_days_and_models_bound_the_search(store: Store) -> None:
    take(store, [prediction(), prediction(id="b", time=EARLIER, model="other/one")])
    assert find(store, "b").records[0]["model"] == "other/one"
    assert find(store, "b", models=["other/one"]).rows == 1
    assert find(store, "b", models=["employment"]).rows == 0
    within = find(store, "b", first="2026-11-28")
    assert (within.rows, within.first_day, within.files) == (0, "2026-11-29", 1)
    assert find(store, "b", last="2026-11-27").rows == 1
    assert find(store, "a1", last="2026-11-28").rows == 0


def test_the_label_that_holds_is_shown(store: Store, tmp_path: Path) -> None:
    take(store, [prediction()])
    path = tmp_path / "labels.jsonl"
    later = label(label=0, label_time="2026-11-29T13:50:00Z", source="appeal")
    path.write_bytes(text([label(), later, label(id="not-come-yet", label=1)]))
    assert import_labels(store, path, actor="test").accepted == 3
    (held,) = find(store, "a1").labels
    assert (held["label"], held["source"]) == ("0", "appeal")
    early = find(store, "not-come-yet")
    assert (early.rows, early.labels[0]["label"]) == (0, "1")
    assert not early.is_there


@pytest.mark.parametrize("name", [NAME, NAME.removesuffix(".gz")])
def test_a_record_that_waits_is_named(store: Store, name: str) -> None:
    land(store, [prediction(id="waits/1"), prediction(id="a")], name)
    found = find(store, "waits/1")
    assert (found.rows, found.waiting, found.is_there) == (0, [name], True)
    assert not find(store, "waits/").is_there
    (store.landing / NAME.replace("000001", "000009")).write_bytes(b"no gzip")
    assert find(store, "nobody").unread == [NAME.replace("000001", "000009")]


@pytest.mark.parametrize("identity", ["Zo\u00eb-1", "\U0001f600", 'a"b\\c', "a/b"])
def test_any_id_that_waits_is_found_however_it_is_written(
    store: Store, identity: str
) -> None:
    """As UTF-8, with escapes, and with spaces between."""
    name = NAME.removesuffix(".gz")
    other = prediction(id="other", features={"id": identity})
    record = prediction(id=identity)
    for is_ascii in (True, False):
        for separators in ((",", ":"), (" , ", " : ")):
            lines = [
                json.dumps(it, ensure_ascii=is_ascii, separators=separators)
                for it in (other, record)
            ]
            (store.landing / name).write_text("\n".join(lines) + "\n")
            assert find(store, identity).waiting == [name]
            (store.landing / name).write_text(f"{lines[0]}\nno JSON {identity}\n")
            assert find(store, identity).waiting == []
    escaped = json.dumps(record).replace("/", "\\/")
    (store.landing / name).write_text(escaped + "\n")
    assert find(store, identity).waiting == [name]


def test_neither_features_nor_protected_attributes_are_shown(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    take(store, [prediction(features={"AGEP": PLANTED}, outputs={"y": PLANTED})])
    apart = NAME.replace("predictions", "protected")
    take(store, [protected(attributes={"SEX": PLANTED})], apart)
    config = store.root.parent / "monitor.json"
    config.write_text(json.dumps({"store": str(store.root), "models": []}))
    monkeypatch.setenv("MODEL_MONITOR_CONFIG", str(config))
    handlers = logging.getLogger().handlers[:]
    # The store is open, as a running monitor has it: no lock is needed.
    assert program.main(["find", "a1", "--model", "employment"]) == 0
    said = capsys.readouterr().out
    assert program.main(["find", "nobody", "--from", "2026-11-29"]) == 1
    assert json.loads(capsys.readouterr().out)["rows"] == 0
    logging.getLogger().handlers[:] = handlers
    assert PLANTED not in said
    (record,) = json.loads(said)["records"]
    assert record["time"] == prediction()["time"]
    assert record["id"] == "a1"
    assert set(record) <= {*prediction(), "code"} - {"features", "outputs"}


def test_an_empty_store_says_that_it_is(tmp_path: Path) -> None:
    found = find(Store(tmp_path / "none"), "a1")
    assert (found.is_there, found.first_day, found.files) == (False, None, 0)
