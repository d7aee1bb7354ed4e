"""Erasure: all of one subject goes, nothing else, and the receipt never says who."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import hashlib
import hmac
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_monitor.audit import verify
from model_monitor.audit.canonical import digest
from model_monitor.labels import LabelJoin, import_labels
from model_monitor.store import Store, ingest, whole_files
from model_monitor.store.erasure import ErasureReceipt, erase, hash_of

from tests.support.monitor_records import (
    NOW,
    label,
    land,
    prediction,
    protected,
    rows,
    text,
    tree,
)

MEMBER = "member-4711"
KEY = b"key of receipts"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def fill(store: Store) -> None:
    """A subject with two predictions in two files, and somebody else in each."""
    for number, hour in enumerate((9, 10)):
        time = f"2026-11-29T{hour:02}:00:00Z"
        land(
            store,
            [
                prediction(id=f"s{number}", time=time, features={"member": MEMBER}),
                prediction(id=f"o{number}", time=time, features={"member": "else"}),
            ],
            f"predictions-h-{number}.jsonl.gz",
        )
        land(
            store,
            [protected(id=f"{who}{number}", time=time) for who in "so"],
            f"protected-h-{number}.jsonl.gz",
        )
    land(
        store,
        [
            prediction(id="s8", row=-1, features={"member": MEMBER}),
            prediction(id="o8", row=-1, features={"member": "else"}),
            b'{"id": "s9", "features": {"member": "%b"' % MEMBER.encode(),
            b'{"id": "s1"',
            b'{"id": "o1"',
        ],
        "predictions-h-bad.jsonl.gz",
    )
    ingest(store, now=lambda: NOW)
    path = store.root.parent / "l.jsonl"
    labels = [label(id=f"{who}{number}") for who in "so" for number in (0, 1)]
    path.write_bytes(text([*labels, label(id="waits")]))
    import_labels(store, path, now=NOW)
    LabelJoin(store).run(NOW)
    whole_files.write_whole(store.counts_of("2026-11-29", "employment"), b"{}")
    whole_files.write_whole(store.counts_of("2026-11-28", "employment"), b"{}")


def run(store: Store, field: str = "member", value: str = MEMBER) -> ErasureReceipt:
    return erase(
        store,
        field,
        value,
        value_hash=hash_of(field, value, KEY),
        actor="ann",
        now=NOW,
    )


def ids(store: Store) -> dict[str, list[str]]:
    found = {
        table: sorted(row["id"] for row in rows(store.root / table))
        for table in ("predictions", "protected", "labels")
    }
    lines = [
        line
        for path in sorted(store.quarantine.glob("*.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    return {**found, "quarantine": [line[8:10].decode() for line in lines]}


def test_a_subject_leaves_every_file(store: Store) -> None:
    fill(store)
    assert ids(store)["quarantine"] == ["s8", "o8", "s9", "s1", "o1"]
    receipt = run(store)
    assert ids(store) == {
        "predictions": ["o0", "o1"],
        "protected": ["o0", "o1"],
        "labels": ["o0", "o1", "waits"],
        "quarantine": ["o8", "o1"],
    }
    assert receipt.rows == {
        "predictions": 2,
        "protected": 2,
        "labels": 2,
        "quarantine": 3,
    }
    assert MEMBER.encode() not in b"".join(
        gzip.decompress(it) if it[:2] == b"\x1f\x8b" else it
        for it in tree(store.root).values()
    )


def test_the_receipt_gives_digests_and_a_keyed_hash(store: Store) -> None:
    fill(store)

    def digests() -> dict[str, str]:
        found = tree(store.root)
        return {path: hashlib.sha256(it).hexdigest() for path, it in found.items()}

    before = digests()
    receipt = run(store)
    after = digests()
    changed = {
        path
        for path in before
        if before[path] != after.get(path) and "audit" not in path
    }
    assert {file.path for file in receipt.files} == changed - {
        ".lock",
        "counts/model=employment/date=2026-11-29.json",
    }
    for file in receipt.files:
        assert (file.before, file.after) == (before[file.path], after[file.path])
    expected = hmac.new(KEY, f"member={MEMBER}".encode(), hashlib.sha256).hexdigest()
    assert receipt.value_hash == expected
    told = json.dumps(receipt.to_json())
    assert not any(it in told for it in (MEMBER, '"s0"', '"s1"'))
    assert (receipt.unread, receipt.unsearched) == ([], [])


def test_an_erasure_is_in_the_audit_chain(store: Store) -> None:
    fill(store)
    receipt = run(store)
    entry = json.loads(store.chain.read_text().splitlines()[-1])
    assert (entry["action"], entry["actor"]) == ("erased", "ann")
    assert entry["details"] == {
        "field": "member",
        "value_hash": receipt.value_hash,
        "rows": receipt.rows,
        "files": len(receipt.files),
        "receipt_sha256": digest(receipt.to_json()),
    }
    assert verify(store.chain).is_intact


def test_counts_of_changed_days_are_computed_anew(store: Store) -> None:
    fill(store)
    run(store)
    assert not store.counts_of("2026-11-29", "employment").exists()
    assert store.counts_of("2026-11-28", "employment").exists()


def test_the_rows_that_stay_are_as_they_were(store: Store) -> None:
    fill(store)
    before = [row for row in rows(store.predictions) if row["id"][0] == "o"]
    columns = list(rows(store.predictions)[0])
    run(store)
    assert rows(store.predictions) == before
    assert list(rows(store.predictions)[0]) == columns


def test_erasure_by_id(store: Store) -> None:
    fill(store)
    assert run(store, "id", "s1").rows == {
        "predictions": 1,
        "protected": 1,
        "labels": 1,
        "quarantine": 1,
    }
    assert ids(store)["predictions"] == ["o0", "o1", "s0"]


def test_a_waiting_label_is_erased_by_its_id(store: Store) -> None:
    fill(store)
    assert run(store, "id", "waits").rows == {"labels": 1}
    assert not list(store.pending.iterdir())


def test_erasure_by_a_protected_attribute(store: Store) -> None:
    land(
        store,
        [protected(attributes={"member": 12}), protected(id="b")],
        "protected-h-1.jsonl.gz",
    )
    land(store, [prediction(), prediction(id="b")])
    ingest(store, now=lambda: NOW)
    assert run(store, "member", "12").rows == {"predictions": 1, "protected": 1}
    assert ids(store)["predictions"] == ["b"]


@pytest.mark.parametrize(
    ("logged", "asked", "gone"),
    [(41, "41", 1), (41.5, "41.5", 1), (True, "true", 1), (41, "x", 0), (0, "41", 0)],
)
def test_erasure_by_a_number(store: Store, logged: Any, asked: str, gone: int) -> None:
    land(store, [prediction(features={"n": logged})])
    ingest(store, now=lambda: NOW)
    assert run(store, "n", asked).rows == ({"predictions": 1} if gone else {})


def test_a_subject_that_nothing_knows(store: Store) -> None:
    fill(store)
    before = tree(store.root)
    receipt = run(store, "member", "nobody")
    assert receipt.files == []
    after = tree(store.root)
    assert {path for path in after if after[path] != before.get(path)} == {
        "audit/chain.jsonl"
    }


def test_files_that_wait_are_read_first(store: Store) -> None:
    fill(store)
    land(store, [prediction(id="new", features={"member": MEMBER})])
    receipt = run(store)
    assert receipt.rows["predictions"] == 3
    assert not list(store.landing.glob("*.gz"))


def test_what_cannot_be_searched_is_reported(store: Store) -> None:
    (store.landing / "predictions-h-x.jsonl.gz").write_bytes(
        gzip.compress(text([prediction()] * 50))[:-12] + b"x" * 12
    )
    receipt = run(store)
    assert receipt.unsearched == ["predictions-h-x.jsonl.gz"]


@pytest.mark.parametrize("step", range(6))
def test_an_erasure_that_stops_is_completed_by_the_next(
    store: Store, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever file it stops at: the rows that name the subject are the last to go."""
    fill(store)
    steps = 0
    put = whole_files.put

    def stopping(temporary: Path, path: Path) -> None:
        nonlocal steps
        if steps == step:
            raise OSError(28, "No space left on device")
        steps += 1
        put(temporary, path)

    with monkeypatch.context() as patch:
        patch.setattr(whole_files, "put", stopping)
        with pytest.raises(OSError, match="No space"):
            run(store)
    hashed = hash_of("member", MEMBER, KEY)
    later = NOW + dt.timedelta(1)
    erase(store, "member", MEMBER, value_hash=hashed, actor="ann", now=later)
    assert ids(store) == {
        "predictions": ["o0", "o1"],
        "protected": ["o0", "o1"],
        "labels": ["o0", "o1", "waits"],
        "quarantine": ["o8", "o1"],
    }


def test_an_erasure_by_attribute_that_stops_is_completed_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the protected record names the subject: it goes after the prediction."""
    land(
        store,
        [protected(attributes={"who": 1}), protected(id="b")],
        "protected-h-1.jsonl.gz",
    )
    land(store, [prediction(), prediction(id="b")])
    ingest(store, now=lambda: NOW)
    put = whole_files.put

    def stopping(temporary: Path, path: Path) -> None:
        put(temporary, path)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(whole_files, "put", stopping)
        with pytest.raises(OSError, match="No space"):
            run(store, "who", "1")
    run(store, "who", "1")
    assert ids(store) == {
        "predictions": ["b"],
        "protected": ["b"],
        "labels": [],
        "quarantine": [],
    }


def fill_quarantine(store: Store) -> None:
    """A prediction of the subject is refused; what belongs to it is kept."""
    land(
        store,
        [
            prediction(id="s0", features={"member": MEMBER}, score="high"),
            b'{"id": "s1", "row": 2, "features": {"member": "%b"' % MEMBER.encode(),
            prediction(id="o0", features={"member": "else"}, score="high"),
            prediction(id="o1"),
            b'{"id": "s0"',
        ],
        "predictions-h-0.jsonl.gz",
    )
    ids_rows = [("s0", 0), ("s0", 1), ("s1", 2), ("o0", 0), ("o1", 0)]
    kept = [protected(id=it, row=row) for it, row in ids_rows]
    land(store, kept, "protected-h-0.jsonl.gz")
    ingest(store, now=lambda: NOW)
    path = store.root.parent / "l.jsonl"
    path.write_bytes(text([label(id=it, row=row) for it, row in ids_rows]))
    import_labels(store, path, now=NOW)
    LabelJoin(store).run(NOW)


WITHOUT_SUBJECT = {
    "predictions": ["o1"],
    "protected": ["o0", "o1", "s0"],
    "labels": ["o0", "o1", "s0"],
    "quarantine": ["o0"],
}
"""Row 1 of s0 is another person's, as far as the lines tell."""


def test_a_quarantined_prediction_names_what_belongs_to_it(store: Store) -> None:
    fill_quarantine(store)
    receipt = run(store)
    assert ids(store) == WITHOUT_SUBJECT
    assert receipt.rows == {"labels": 2, "protected": 2, "quarantine": 3}


@pytest.mark.parametrize("step", range(6))
def test_and_is_the_last_to_go(
    store: Store, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_quarantine(store)
    steps, put = 0, whole_files.put

    def stopping(temporary: Path, path: Path) -> None:
        nonlocal steps
        steps += 1
        if steps > step:
            raise OSError(28, "No space left on device")
        put(temporary, path)

    with monkeypatch.context() as patch, contextlib.suppress(OSError):
        patch.setattr(whole_files, "put", stopping)
        run(store)
    run(store)
    assert ids(store) == WITHOUT_SUBJECT


def test_a_file_that_stays_in_landing_names_what_belongs_to_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be written to its places, and is on the receipt as unread."""
    land(store, [protected(), protected(id="b")], "protected-h-0.jsonl.gz")
    ingest(store, now=lambda: NOW)
    path = land(store, [prediction(features={"member": MEMBER})])

    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    module = importlib.import_module("model_monitor.store.ingest")
    monkeypatch.setattr(module, "write_parts", failing)
    receipt = run(store)
    assert receipt.unread == [path.name]
    assert ids(store)["protected"] == ["b"]
