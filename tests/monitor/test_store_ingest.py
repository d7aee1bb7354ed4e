"""Landed files become parquet with the values that the log had."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_monitor.store import Limits, Store, ingest
from model_monitor.store.database import database
from model_monitor.store.scalars import canonical

from tests.support.monitor_records import (
    LEFT_OUT,
    NAME,
    NOW,
    land,
    prediction,
    protected,
    rows,
    text,
)

TIME = dt.datetime.fromisoformat("2026-11-29T13:30:09.123456")
"""As DuckDB's TIMESTAMP gives it: UTC, without saying so."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def take(store: Store, **options: Any) -> Any:
    return ingest(store, now=lambda: NOW, **options)


def test_a_prediction_has_its_columns(store: Store) -> None:
    land(store, [prediction(), prediction(id="a2", features={"AGEP": 7, "SCHL": None})])
    result = take(store)
    assert result.files == {"ingested": 1}
    assert result.records == {"employment": 2}
    (path,) = store.predictions.rglob("*.parquet")
    assert (
        path
        == (store.predictions / "date=2026-11-29" / "hour=13" / "model=employment")
        / "revision=r1"
        / f"{NAME}.parquet"
    )
    assert rows(store.predictions) == [
        {
            "id": "a1",
            "row": 0,
            "time": TIME,
            "model": "employment",
            "version": "1.2",
            "revision": "r1",
            "arm": "stable",
            "status": 200,
            "code": None,
            "unit": None,
            "latency_seconds": 0.0025,
            "decision": "1",
            "decision_number": 1.0,
            "score": 0.75,
            "scores": None,
            "outputs": None,
            "x:AGEP": 41.0,
            "t:SCHL": "BA",
        },
        {
            "id": "a2",
            "row": 0,
            "time": TIME,
            "model": "employment",
            "version": "1.2",
            "revision": "r1",
            "arm": "stable",
            "status": 200,
            "code": None,
            "unit": None,
            "latency_seconds": 0.0025,
            "decision": "1",
            "decision_number": 1.0,
            "score": 0.75,
            "scores": None,
            "outputs": None,
            "x:AGEP": 7.0,
            "t:SCHL": None,
        },
    ]
    assert not list(store.landing.glob("*.gz"))


def test_columns_have_the_types_that_readers_rely_on(store: Store) -> None:
    land(store, [prediction(score=[0.25, 0.75])])
    take(store)
    (path,) = store.predictions.rglob("*.parquet")
    described = duckdb.sql(f"describe select * from read_parquet('{path}')").fetchall()
    found = {column: kind for column, kind, *_ in described}
    assert {
        "row": "INTEGER",
        "time": "TIMESTAMP",
        "status": "INTEGER",
        "latency_seconds": "DOUBLE",
        "decision": "VARCHAR",
        "decision_number": "DOUBLE",
        "score": "DOUBLE",
        "scores": "DOUBLE[]",
        "outputs": "VARCHAR",
        "x:AGEP": "DOUBLE",
        "t:SCHL": "VARCHAR",
    }.items() <= found.items()
    ((codec,),) = duckdb.sql(
        f"select distinct compression from parquet_metadata('{path}')"
    ).fetchall()
    assert codec == "ZSTD"


@pytest.mark.parametrize(
    ("score", "column", "value"),
    [
        (0.5, "score", 0.5),
        (1, "score", 1.0),
        (True, "score", 1.0),
        (None, "score", None),
        ([0.25, None, 1], "scores", [0.25, None, 1.0]),
        ([], "scores", []),
    ],
)
def test_scores(store: Store, score: Any, column: str, value: Any) -> None:
    land(store, [prediction(score=score)])
    take(store)
    (row,) = rows(store.predictions)
    assert row[column] == value


@pytest.mark.parametrize(
    ("decision", "told", "number"),
    [
        (1, "1", 1.0),
        (1.0, "1", 1.0),
        (-0.0, "0", 0.0),
        (0.5, "0.5", 0.5),
        (True, "true", 1.0),
        (False, "false", 0.0),
        ("1", "1", None),
        ("ja", "ja", None),
        ('"ü\n', '"ü\n', None),
        (None, None, None),
        ([1, "a", None], '[1,"a",null]', None),
        (123456789012345678, "123456789012345678", 123456789012345680.0),
    ],
)
def test_decisions_are_canonical(
    store: Store, decision: Any, told: Any, number: Any
) -> None:
    land(store, [prediction(decision=decision)])
    take(store)
    (row,) = rows(store.predictions)
    assert (row["decision"], row["decision_number"]) == (told, number)


def test_refused_requests_keep_their_code(store: Store) -> None:
    gone = dict.fromkeys(("features", "decision", "score"), LEFT_OUT)
    land(store, [prediction(status=503, code="overloaded", **gone), prediction()])
    take(store)
    first, second = rows(store.predictions)
    assert (first["code"], first["status"], first["decision"]) == (
        "overloaded",
        503,
        None,
    )
    assert (first["x:AGEP"], second["x:AGEP"]) == (None, 41.0)


def test_other_outputs_are_kept_as_they_are(store: Store) -> None:
    outputs = {"boxes": [1.5, 2], "label": "a"}
    none = {"decision": LEFT_OUT, "score": LEFT_OUT}
    land(store, [prediction(outputs=outputs, **none)])
    take(store)
    (row,) = rows(store.predictions)
    assert json.loads(row["outputs"]) == outputs


def test_a_feature_is_text_in_files_where_any_of_it_is(store: Store) -> None:
    """A number among texts stays readable as the number that it was."""
    features = [{"a": 1.0, "b": 1}, {"a": "x", "b": True}, {"a": [1, 2], "b": None}, {}]
    land(store, [prediction(id=str(n), features=it) for n, it in enumerate(features)])
    take(store)
    found = rows(store.predictions)
    assert [row["t:a"] for row in found] == ["1", "x", "[1,2]", None]
    assert [row["x:b"] for row in found] == [1.0, 1.0, None, None]
    assert not {"x:a", "t:b"} & set(found[0])


def test_names_are_columns_whatever_is_in_them(store: Store) -> None:
    names = ['q"uote', "sla/sh", "til~de", "dot.$[0]", "ü", "input[3]", "'", "0"]
    features = {name: number for number, name in enumerate(names)}
    land(store, [prediction(features=features)])
    take(store)
    (row,) = rows(store.predictions)
    assert {name: row[f"x:{name}"] for name in names} == features


def test_hours_models_and_revisions_have_files_of_their_own(store: Store) -> None:
    records = [
        prediction(id="1", time="2026-11-29T09:59:59.999999Z"),
        prediction(id="2", time="2026-11-29T10:00:00.000000Z"),
        prediction(id="3", time="2026-11-28T10:00:00Z", revision="a/b c"),
        prediction(id="4", time="2026-11-28T10:00:00Z", model="..", features={"z": 1}),
    ]
    land(store, records)
    assert take(store).records == {"employment": 3, "..": 1}
    found = {
        path.parent.relative_to(store.predictions).as_posix(): rows(path.parent)
        for path in store.predictions.rglob("*.parquet")
    }
    assert {folder: [row["id"] for row in of] for folder, of in found.items()} == {
        "date=2026-11-29/hour=09/model=employment/revision=r1": ["1"],
        "date=2026-11-29/hour=10/model=employment/revision=r1": ["2"],
        "date=2026-11-28/hour=10/model=employment/revision=a%2Fb%20c": ["3"],
        "date=2026-11-28/hour=10/model=../revision=r1": ["4"],
    }
    # A part has the columns of its own records.
    assert "x:AGEP" not in found["date=2026-11-28/hour=10/model=../revision=r1"][0]


def test_protected_attributes_lie_apart(store: Store) -> None:
    land(
        store,
        [protected(), protected(id="a2", attributes={"SEX": None})],
        "protected-host-1.jsonl.gz",
    )
    result = take(store)
    assert (result.protected, result.records) == (2, {})
    common = {"row": 0, "time": TIME, "model": "employment", "revision": "r1"}
    assert rows(store.protected) == [
        {"id": "a1", **common, "a:SEX": "1", "a:RAC1P": "2"},
        {"id": "a2", **common, "a:SEX": None, "a:RAC1P": None},
    ]
    assert not list(store.predictions.rglob("*.parquet"))


def test_uncompressed_files_are_read_too(store: Store) -> None:
    (store.landing / "predictions-h-1.jsonl").write_bytes(
        # The last line has no line feed, and one is empty.
        text([prediction()]) + b"\n" + json.dumps(prediction(id="a2")).encode()
    )
    assert take(store).records == {"employment": 2}


def test_unknown_models_are_kept_and_reported(store: Store) -> None:
    land(store, [prediction(), prediction(model="else")])
    result = take(store, known_models={"employment"})
    assert result.unknown == {"else": 1}
    assert result.records == {"employment": 1, "else": 1}


def test_lines_that_come_in_several_chunks_are_one_table(store: Store) -> None:
    """Names that only a later chunk has are columns of all."""
    records = [
        prediction(id=str(n), features={"a": n, **({"b": "x"} if n > 90 else {})})
        for n in range(100)
    ]
    land(store, records)
    assert take(store, limits=Limits(chunk_bytes=2_000)).quarantined == {}
    found = rows(store.predictions)
    assert [row["id"] for row in found] == [str(n) for n in range(100)]
    assert [row["x:a"] for row in found] == [float(n) for n in range(100)]
    assert [row["t:b"] for row in found] == [None] * 91 + ["x"] * 9


def test_a_number_of_files_bounds_a_run(store: Store) -> None:
    for number in range(3):
        land(store, [prediction()], f"predictions-h-{number}.jsonl.gz")
    assert take(store, most_files=2).files == {"ingested": 2}
    assert take(store, most_files=2).files == {"ingested": 1}


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=10
)


@st.composite
def records(draw: Any) -> list[dict[str, Any]]:
    names = draw(
        st.lists(NAMES, min_size=1, max_size=4, unique_by=lambda it: it.casefold())
    )
    features = st.fixed_dictionaries(
        {}, optional={name: SCALARS | st.lists(SCALARS, max_size=3) for name in names}
    )
    return [
        prediction(
            id=draw(st.text("abc-0", min_size=1, max_size=8)),
            row=draw(st.integers(0, 2**31 - 1)),
            latency_seconds=draw(st.floats(0, 1e6)),
            features=draw(features),
            decision=draw(SCALARS),
        )
        for _ in range(draw(st.integers(1, 5)))
    ]


def expected(record: dict[str, Any], name: str, *, as_text: bool) -> Any:
    """What a column of a feature should hold."""
    value = record["features"].get(name)
    if as_text:
        return canonical(value)
    return None if value is None else float(value)


@settings(max_examples=40, deadline=None)
@given(records())
def test_what_was_logged_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, given_records: list[dict[str, Any]]
) -> None:
    with Store(tmp_path_factory.mktemp("store")).opened() as store:
        land(store, given_records)
        result = take(store)
        assert (result.quarantined, result.failures) == ({}, {})
        found = rows(store.predictions)
    assert len(found) == len(given_records)
    names = {name for record in given_records for name in record["features"]}
    as_text = {
        name
        for name in names
        for record in given_records
        if isinstance(record["features"].get(name), str | list)
    }
    for row, record in zip(found, given_records, strict=True):
        assert (row["id"], row["row"]) == (record["id"], record["row"])
        assert row["latency_seconds"] == record["latency_seconds"]
        assert row["decision"] == canonical(record["decision"])
        for name in names:
            column = f"{'t' if name in as_text else 'x'}:{name}"
            wanted = expected(record, name, as_text=name in as_text)
            if isinstance(value := record["features"].get(name), list):
                # Programs write floats in lists in different ways.
                assert json.loads(row[column]) == value
            else:
                assert row[column] == wanted, name


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with database(tmp_path_factory.mktemp("scalars"), 64) as opened:
        yield opened


@settings(max_examples=40, deadline=None)
@given(st.lists(SCALARS, min_size=20, max_size=100))
def test_sql_and_python_write_the_same_canonical_text(
    connection: Any, values: list[Any]
) -> None:
    leaves = [json.dumps(value, ensure_ascii=False) for value in values]
    found = connection.execute(
        "select scalar_text(leaf) from (select unnest($leaves) as leaf)",
        {"leaves": leaves},
    ).fetchall()
    assert [it for (it,) in found] == [canonical(value) for value in values]


def test_nothing_is_open_after_a_run(store: Store) -> None:
    land(store, [prediction()])
    take(store)
    left = [path.name for path in store.root.rglob(".tmp-*")]
    assert left == []
    assert not math.isnan(take(store).seconds)
