"""Labels find the day and model of their prediction, whenever either comes."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_monitor.labels import JoinResult, LabelJoin, import_labels, joining
from model_monitor.labels.importing import import_posted
from model_monitor.store import Store, ingest

from tests.support.monitor_records import (
    LEFT_OUT,
    NOW,
    label,
    land,
    prediction,
    rows,
    text,
    tree,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def predict(store: Store, *records: dict[str, Any], name: str = "1") -> None:
    land(store, records, f"predictions-h-{name}.jsonl.gz")
    assert ingest(store, now=lambda: NOW).quarantined == {}


def bring(store: Store, *labels: dict[str, Any], name: str = "l") -> None:
    path = store.root.parent / f"{name}.jsonl"
    path.write_bytes(text(labels))
    import_labels(store, path, now=NOW)


def post(store: Store, *labels: dict[str, Any], now: dt.datetime = NOW) -> int:
    """Post labels; how many were accepted."""
    path = store.root.parent / "body"
    path.write_bytes(text(labels))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return import_posted(store, path, digest, now=now).accepted


def at(moment: str) -> dt.datetime:
    """A moment as DuckDB's TIMESTAMP gives it: UTC, without saying so."""
    return dt.datetime.fromisoformat(moment)


def quarantined(store: Store, name: str) -> list[Any]:
    content = gzip.decompress((store.quarantine / f"{name}.jsonl.gz").read_bytes())
    return [json.loads(line) for line in content.splitlines()]


def folders(store: Store) -> dict[str, list[str]]:
    """Labels by the folder that they lie in."""
    return {
        folder.relative_to(store.labels).as_posix(): [
            f"{row['id']}={row['label']}" for row in rows(folder)
        ]
        for folder in sorted(store.labels.glob("date=*/model=*"))
    }


def test_labels_go_to_the_day_and_model_of_their_prediction(store: Store) -> None:
    predict(
        store,
        prediction(id="a", time="2026-11-28T23:59:59.9Z"),
        prediction(id="b", time="2026-11-29T00:00:00Z"),
        prediction(id="c", model="x/y"),
        prediction(id="c", row=1),
    )
    bring(
        store,
        label(id="a"),
        label(id="b", label=0),
        label(id="c", label="z"),
        label(id="c", row=1),
    )
    assert LabelJoin(store).run(NOW) == JoinResult(joined=4)
    assert folders(store) == {
        "date=2026-11-28/model=employment": ["a=1"],
        "date=2026-11-29/model=employment": ["b=0", "c=1"],
        "date=2026-11-29/model=x%2Fy": ["c=z"],
    }
    (row,) = rows(store.labels / "date=2026-11-28")
    assert row == {
        "id": "a",
        "row": 0,
        "label": "1",
        "label_number": 1.0,
        "label_time": at("2026-11-29T13:45:00"),
        "source": "registry",
        "received": at("2026-11-29T14:00:00"),
        "prediction_time": at("2026-11-28T23:59:59.9"),
    }
    assert list(store.pending.iterdir()) == []


def test_a_label_waits_for_its_prediction(store: Store) -> None:
    bring(store, label(id="a"), label(id="b"))
    join = LabelJoin(store)
    assert join.run(NOW) == JoinResult(pending=2)
    predict(store, prediction(id="b"))
    assert join.run(NOW) == JoinResult(joined=1, pending=1)
    predict(store, prediction(id="a"), name="2")
    # Another process does not know what was looked through.
    assert LabelJoin(store).run(NOW) == JoinResult(joined=1)
    assert folders(store) == {"date=2026-11-29/model=employment": ["a=1", "b=1"]}


def test_files_that_were_looked_through_are_not_read_again(store: Store) -> None:
    """A file that is gone since would be an error."""
    predict(store, prediction(id="b"))
    bring(store, label(id="a"))
    join = LabelJoin(store)
    join.run(NOW)
    for path in store.predictions.rglob("*.parquet"):
        path.write_bytes(b"no parquet any more")
    assert join.run(NOW) == JoinResult(pending=1)


def test_a_label_is_given_up_after_the_horizon(store: Store) -> None:
    bring(store, label(id="a", label=None), label(id="b", label="x", row=2))
    join = LabelJoin(store, horizon_days=7)
    assert join.run(NOW + dt.timedelta(days=7)) == JoinResult(pending=2)
    late = NOW + dt.timedelta(days=7, seconds=1)
    assert join.run(late) == JoinResult(given_up=2)
    common = {"label_time": "2026-11-29T13:45:00.000000Z", "source": "registry"}
    assert quarantined(store, "labels-l-given_up") == [
        {"id": "a", "row": 0, "label": None, **common},
        {"id": "b", "row": 2, "label": "x", **common},
    ]
    assert list(store.pending.iterdir()) == []
    assert join.run(late) == JoinResult()


def test_a_label_from_before_its_prediction_goes_to_quarantine(store: Store) -> None:
    predict(store, prediction(id="a", time="2026-11-29T13:30:00Z"), prediction(id="b"))
    bring(
        store,
        label(id="a", label_time="2026-11-29T13:24:59Z"),
        label(id="b", label_time="2026-11-29T13:25:10Z"),
    )
    # Clocks may differ by five minutes.
    assert LabelJoin(store).run(NOW) == JoinResult(joined=1, early=1)
    assert [it["id"] for it in quarantined(store, "labels-l-early")] == ["a"]
    assert folders(store) == {"date=2026-11-29/model=employment": ["b=1"]}


@pytest.mark.parametrize(
    "hint", ["2026-11-29T13:30:00Z", "2026-11-28T00:00:00Z", "2025-01-01T00:00:00Z"]
)
def test_a_hint_says_where_to_begin_and_no_more(store: Store, hint: str) -> None:
    predict(store, prediction(id="a"))
    bring(store, label(id="a", prediction_time=hint))
    assert LabelJoin(store).run(NOW) == JoinResult(joined=1)
    (row,) = rows(store.labels)
    assert row["prediction_time"] == at("2026-11-29T13:30:09.123456")


@pytest.mark.parametrize(
    "hint", ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
)
def test_a_hint_at_the_ends_of_the_calendar_is_no_hint(store: Store, hint: str) -> None:
    """There is no day before the one, and none after the other."""
    predict(store, prediction(id="a"))
    assert post(store, label(id="a", prediction_time=hint)) == 1
    assert LabelJoin(store).run(NOW) == JoinResult(joined=1)


def test_without_labels_that_wait_no_predictions_are_listed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    join = LabelJoin(store)
    monkeypatch.setattr(store, "predictions", None)
    assert join.run(NOW) == JoinResult()


def test_what_came_while_no_label_waited_is_found(store: Store) -> None:
    join = LabelJoin(store)
    predict(store, prediction(id="a"))
    assert join.run(NOW) == JoinResult()
    bring(store, label(id="a"), label(id="b"))
    assert join.run(NOW) == JoinResult(joined=1, pending=1)
    predict(store, prediction(id="b"), name="2")
    assert join.run(NOW) == JoinResult(joined=1)
    predict(store, prediction(id="c"), name="3")
    assert join.run(NOW) == JoinResult()
    bring(store, label(id="c"), name="m")
    assert join.run(NOW) == JoinResult(joined=1)


def test_a_post_that_has_more_labels_when_it_comes_again(store: Store) -> None:
    """Its file is another one under the same name."""
    predict(store, prediction(id="b"))
    labels = [label(id="a"), label(id="b", label_time="2026-11-29T14:30:00Z")]
    assert post(store, *labels) == 1
    join = LabelJoin(store)
    assert join.run(NOW) == JoinResult(pending=1)
    later = NOW + dt.timedelta(hours=1)
    assert post(store, *labels, now=later) == 2
    assert join.run(later) == JoinResult(joined=1, pending=1)


def test_labels_that_come_again_during_a_join_are_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(store, prediction(id="a"), prediction(id="b"))
    labels = [label(id="a"), label(id="b", label_time="2026-11-29T14:30:00Z")]
    later = NOW + dt.timedelta(hours=1)
    post(store, *labels)
    place = joining._Round._place

    def slow(it: Any) -> None:
        place(it)
        assert post(store, *labels, now=later) == 2

    join = LabelJoin(store)
    with monkeypatch.context() as during:
        during.setattr(joining._Round, "_place", slow)
        assert join.run(NOW).joined == 1
    assert join.run(later) == JoinResult(joined=2)
    assert folders(store) == {"date=2026-11-29/model=employment": ["a=1", "b=1"]}
    assert list(store.pending.iterdir()) == []


def test_the_rest_of_a_file_is_not_looked_for_again(store: Store) -> None:
    """What the join itself writes back was looked for already."""
    predict(store, prediction(id="b"))
    bring(store, label(id="a"), label(id="b"))
    join = LabelJoin(store)
    assert join.run(NOW) == JoinResult(joined=1, pending=1)
    for path in store.predictions.rglob("*.parquet"):
        path.write_bytes(b"no parquet any more")
    assert join.run(NOW) == JoinResult(pending=1)


def test_an_id_of_two_models_labels_both(store: Store) -> None:
    """A mirrored request has one id."""
    predict(store, prediction(id="a"), prediction(id="a", model="shadow"))
    bring(store, label(id="a"))
    assert LabelJoin(store).run(NOW) == JoinResult(joined=1)
    assert folders(store) == {
        "date=2026-11-29/model=employment": ["a=1"],
        "date=2026-11-29/model=shadow": ["a=1"],
    }


def test_a_refused_request_takes_no_label(store: Store) -> None:
    gone = dict.fromkeys(("features", "decision", "score"), LEFT_OUT)
    predict(store, prediction(id="a", status=503, code="overloaded", **gone))
    bring(store, label(id="a"))
    assert LabelJoin(store).run(NOW) == JoinResult(pending=1)


def test_a_prediction_that_was_logged_twice_is_labelled_once(store: Store) -> None:
    predict(store, prediction(id="a"), prediction(id="a"))
    predict(store, prediction(id="a"), name="2")
    bring(store, label(id="a"))
    assert LabelJoin(store).run(NOW) == JoinResult(joined=1)
    assert folders(store) == {"date=2026-11-29/model=employment": ["a=1"]}


def test_a_join_that_was_killed_can_be_done_again(store: Store) -> None:
    """Whatever was placed already is placed again, to the same content."""
    predict(store, prediction(id="a"), prediction(id="b"))
    bring(store, label(id="a"), label(id="b"), label(id="later"))
    pending = {path: path.read_bytes() for path in store.pending.iterdir()}
    LabelJoin(store).run(NOW)
    done = tree(store.root)
    # As if the run had ended before it took the placed labels out of pending.
    for path, content in pending.items():
        path.write_bytes(content)
    LabelJoin(store).run(NOW)
    assert tree(store.root) == done


def test_files_of_labels_keep_apart(store: Store) -> None:
    predict(store, prediction(id="a"))
    bring(store, label(id="a"), name="first")
    bring(
        store, label(id="a", label=0, label_time="2026-11-29T13:50:00Z"), name="second"
    )
    LabelJoin(store).run(NOW)
    names = sorted(path.name for path in store.labels.glob("date=*/*/*"))
    assert names == ["first.jsonl.parquet", "second.jsonl.parquet"]


def test_however_few_labels_fit_in_memory_all_are_joined(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def database(*words: Any) -> Any:
        opened.append(words)
        return store_database(*words)

    store_database = joining.database
    monkeypatch.setattr(joining, "database", database)
    monkeypatch.setattr(joining, "ROUND_BYTES", 1)
    predict(store, *(prediction(id=f"p{number}") for number in range(3)))
    for number in range(3):
        labels = [label(id=f"p{number}"), label(id=f"none{number}")]
        bring(store, *labels, name=f"file{number}")
    join = LabelJoin(store)
    assert join.run(NOW) == JoinResult(joined=3, pending=3)
    assert len(opened) == 3
    (found,) = folders(store).values()
    assert sorted(found) == ["p0=1", "p1=1", "p2=1"]
    # Of each file it is known that the predictions were looked through.
    assert join.run(NOW) == JoinResult(pending=3)
    predict(store, prediction(id="none1"), name="2")
    assert join.run(NOW) == JoinResult(joined=1, pending=2)
