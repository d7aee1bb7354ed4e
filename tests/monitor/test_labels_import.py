"""Files of labels: each form, each name once, and what is wrong with a line."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from model_monitor.audit import verify
from model_monitor.labels import LabelsRefusedError, import_labels
from model_monitor.store import Limits, Store

from tests.support.monitor_records import LEFT_OUT, NOW, label, rows, text, tree


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def naive(moment: dt.datetime) -> dt.datetime:
    """A moment as DuckDB's TIMESTAMP gives it: UTC, without saying so."""
    return moment.replace(tzinfo=None)


def take(store: Store, path: Path, **options: Any) -> Any:
    return import_labels(store, path, now=NOW, **options)


LABELS = [
    label(id="a", row=3, label=1),
    label(id="b", label='ja, "nein"', source="x"),
    label(id="c", label=None),
    label(id="d", label=0.5, label_time="2026-11-29T13:45:00.000001Z"),
    label(id="e", label=True),
]


def as_csv(path: Path) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(LABELS[0]))
        writer.writeheader()
        for it in LABELS:
            words = {"c": "null", "e": "true"}
            writer.writerow({**it, "label": words.get(it["id"], it["label"])})


def as_parquet(path: Path) -> None:
    """Labels of several types lie in a column of texts there."""
    with duckdb.connect() as connection:
        connection.execute(
            "create table t (id varchar, row bigint, label varchar, "
            "label_time timestamptz, source varchar)"
        )
        for it in LABELS:
            value = "true" if it["label"] is True else it["label"]
            connection.execute(
                "insert into t values (?, ?, ?, cast(? as timestamptz), ?)",
                [
                    it["id"],
                    it["row"],
                    None if value is None else str(value),
                    it["label_time"],
                    it["source"],
                ],
            )
        connection.execute(f"copy t to '{path}' (format parquet)")


FORMS = {
    "l.jsonl": lambda path: path.write_bytes(text(LABELS)),
    "l.jsonl.gz": lambda path: path.write_bytes(gzip.compress(text(LABELS))),
    "l.csv": as_csv,
    "l.parquet": as_parquet,
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_file_gives_the_same_labels(
    store: Store, tmp_path: Path, name: str
) -> None:
    FORMS[name](tmp_path / name)
    result = take(store, tmp_path / name)
    assert (result.accepted, dict(result.refused)) == (5, {})
    (path,) = store.pending.iterdir()
    assert path.name == f"{name}.parquet"
    moment = naive(NOW.replace(hour=13, minute=45))
    common = {
        "label_time": moment,
        "source": "registry",
        "received": naive(NOW),
        "prediction_time": None,
    }
    # A parquet column of texts has no numbers.
    numbers = (None,) * 3 if name == "l.parquet" else (1.0, 0.5, 1.0)
    assert rows(store.pending) == [
        {"id": "a", "row": 3, "label": "1", "label_number": numbers[0], **common},
        {
            "id": "b",
            "row": 0,
            "label": 'ja, "nein"',
            "label_number": None,
            **common,
            "source": "x",
        },
        {"id": "c", "row": 0, "label": None, "label_number": None, **common},
        {
            "id": "d",
            "row": 0,
            "label": "0.5",
            "label_number": numbers[1],
            **common,
            "label_time": moment.replace(microsecond=1),
        },
        {"id": "e", "row": 0, "label": "true", "label_number": numbers[2], **common},
    ]


def test_numbers_of_a_parquet_file_are_numbers(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "n.parquet"
    duckdb.sql(
        "select 'a' as id, 1.0::double as label, timestamp '2026-11-29 13:45:00' as "
        "label_time, 's' as source union all select 'b', null, "
        "timestamp '2026-11-29 13:45:00', 's'"
    ).write_parquet(str(path))
    take(store, path)
    found = [(row["label"], row["label_number"]) for row in rows(store.pending)]
    assert found == [("1", 1.0), (None, None)]


def test_row_and_hint_are_optional(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    hint = "2026-11-29T13:30:00Z"
    path.write_bytes(text([label(row=LEFT_OUT, prediction_time=hint)]))
    take(store, path)
    (row,) = rows(store.pending)
    assert (row["row"], row["prediction_time"]) == (
        0,
        naive(NOW.replace(hour=13, minute=30)),
    )


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"x", "not_json"),
        (b'{"id":"\xff"}', "not_utf8"),
        (label(id=1), "wrong_type"),
        (label(id=""), "empty"),
        (label(row="1"), "wrong_type"),
        (label(row=-1), "out_of_range"),
        (label(label={"a": 1}), "wrong_type"),
        (label(label=float("nan")), "not_finite"),
        (label(label=LEFT_OUT), "missing_field"),
        (label(label_time=LEFT_OUT), "missing_field"),
        (label(source=LEFT_OUT), "missing_field"),
        (label(label_time="yesterday"), "bad_time"),
        (label(label_time="2026-11-29T15:00:00Z"), "future_time"),
        (label(prediction_time=5), "wrong_type"),
        (label(model="m"), "unknown_field"),
    ],
)
def test_a_bad_line_goes_to_quarantine(
    store: Store, tmp_path: Path, bad: Any, reason: str
) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(text([label(), bad]))
    result = take(store, path)
    assert (result.accepted, result.refused) == (1, {reason: 1})
    assert [(it.line, it.reason.split()[0]) for it in result.bad_lines] == [(2, reason)]
    kept = gzip.decompress((store.quarantine / "labels-some.jsonl.gz").read_bytes())
    assert kept == text([bad])
    report = json.loads(
        (store.quarantine / "labels-some.jsonl.gz.reason.json").read_text()
    )
    assert (report["file"], report["kept"]) == ("some.jsonl", 1)
    assert list(report["bad"]) == [reason]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("a,1", "not_csv"),
        ("a,0,1,2026-11-29T13:45:00Z,s,more", "not_csv"),
        ("a,0,,2026-11-29T13:45:00Z,s", "missing_field"),
        ("a,x,1,2026-11-29T13:45:00Z,s", "wrong_type"),
        ("a,0,1,,s", "missing_field"),
        ("a,0,1,2026-11-29T13:45:00Z,\udcff", "not_utf8"),
    ],
)
def test_a_bad_record_of_a_csv_file(
    store: Store, tmp_path: Path, record: str, reason: str
) -> None:
    path = tmp_path / "l.csv"
    lines = [
        "id,row,label,label_time,source",
        record,
        "b,0,01,2026-11-29T13:45:00Z,s",
        "",
    ]
    path.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    result = take(store, path)
    assert (result.accepted, result.refused) == (1, {reason: 1})
    assert result.bad_lines[0].line == 2
    # "01" is not a number of JSON, and so a text.
    (row,) = rows(store.pending)
    assert (row["label"], row["label_number"]) == ("01", None)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("l.csv", b"id,label,label_time\na,1,x\n", "missing_column"),
        ("l.csv", b"id,label,label_time,source,more\n", "unknown_column"),
        ("l.csv", b"id,id,label,label_time,source\n", "unknown_column"),
        ("l.csv", b"", "missing_column"),
        ("l.csv", b'id,label,label_time,source\n"a', "damaged_csv"),
        ("l.parquet", b"PAR1 no parquet PAR1", "not_parquet"),
        ("l.jsonl.gz", b"x", "not_gzip"),
        ("l.jsonl.gz", gzip.compress(text(LABELS))[:-9], "truncated_gzip"),
        ("l.jsonl", b" " * 30_000, "too_large"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_changes_nothing(
    store: Store, tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    (tmp_path / name).write_bytes(content)
    before = tree(store.root)
    with pytest.raises(LabelsRefusedError) as refused:
        take(store, tmp_path / name, limits=Limits(text_bytes=20_000))
    assert refused.value.code == code
    assert tree(store.root) == before


@pytest.mark.parametrize(
    "name", ["l.txt", "l", ".l.csv", "a b.csv", "ü.csv", "x" * 200 + ".csv"]
)
def test_other_names_are_refused(store: Store, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(LabelsRefusedError) as refused:
        take(store, tmp_path / name)
    assert refused.value.code == "bad_name"


def test_the_same_file_again_changes_nothing(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_bytes(text(LABELS))
    take(store, path)
    before = tree(store.root)
    later = import_labels(store, path, now=NOW + dt.timedelta(hours=1))
    assert (later.is_repeated, later.accepted) == (True, 5)
    assert tree(store.root) == before


def test_another_file_of_the_same_name_is_refused(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_bytes(text(LABELS))
    take(store, path)
    before = tree(store.root)
    path.write_bytes(text([label()]))
    with pytest.raises(LabelsRefusedError) as refused:
        take(store, path)
    assert str(refused.value) == (
        "l.jsonl was imported before with other content; give the file another name"
    )
    assert tree(store.root) == before


def test_an_import_is_in_the_audit_chain(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_bytes(text([label(), b"bad"]))
    take(store, path, actor="ann")
    entries = [json.loads(line) for line in store.chain.read_text().splitlines()]
    (entry,) = (it for it in entries if it["action"] == "labels_imported")
    assert entry["actor"] == "ann"
    assert (entry["details"]["accepted"], entry["details"]["refused"]) == (1, 1)
    assert verify(store.chain).is_intact
