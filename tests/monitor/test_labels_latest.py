"""Of several labels of a row one holds, in whatever order they came."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_monitor.labels import LATEST, LabelJoin, import_labels
from model_monitor.store import Store, ingest

from tests.support.monitor_records import NOW, label, land, prediction, text

MOMENTS = [dt.datetime.fromisoformat(f"2026-11-0{day}") for day in (1, 2, 3)]


@pytest.fixture(scope="module")
def connection() -> Iterator[Any]:
    with duckdb.connect() as opened:
        opened.execute(
            'create table l (id varchar, "row" integer, label varchar, '
            "label_number double, label_time timestamp, source varchar, "
            "received timestamp, prediction_time timestamp)"
        )
        yield opened


Label = tuple[str, int, str | None, None, dt.datetime, str, dt.datetime, None]
LABELS = st.tuples(
    st.sampled_from(["a", "b"]),
    st.integers(0, 1),
    st.sampled_from(["0", "1", None]),
    st.none(),
    st.sampled_from(MOMENTS),
    st.sampled_from(["s", "t"]),
    st.sampled_from(MOMENTS),
    st.none(),
)


def winners(connection: Any, labels: list[Label]) -> dict[tuple[str, int], Any]:
    connection.execute("delete from l")
    if labels:
        connection.executemany("insert into l values (?, ?, ?, ?, ?, ?, ?, ?)", labels)
    found = connection.execute(LATEST.format(labels="l")).fetchall()
    assert len({row[:2] for row in found}) == len(found)
    return {row[:2]: row[2] for row in found}


def expected(labels: list[Label]) -> dict[tuple[str, int], Any]:
    """The rule in Python: the greatest label_time, received, source; then the label."""
    best: dict[tuple[str, int], Any] = {}
    for identifier, row, value, _, label_time, source, received, _ in labels:
        key = (label_time, received, source, value is not None, value or "")
        if (identifier, row) not in best or key > best[identifier, row][0]:
            best[identifier, row] = (key, value)
    return {key: value for key, (_, value) in best.items()}


@settings(max_examples=100, deadline=None)
@given(st.data(), st.lists(LABELS, max_size=12))
def test_the_order_of_coming_does_not_matter(
    connection: Any, data: Any, labels: list[Label]
) -> None:
    assert winners(connection, labels) == expected(labels)
    assert winners(connection, data.draw(st.permutations(labels))) == expected(labels)


WRITERS = {
    "first": label(label=1, label_time="2026-11-29T13:40:00Z", source="clinic"),
    "correction": label(label=0, label_time="2026-11-29T13:50:00Z", source="registry"),
    "withdrawal": label(label=None, label_time="2026-11-29T13:55:00Z", source="clinic"),
}


@settings(max_examples=6, deadline=None)
@given(st.permutations(list(WRITERS)))
def test_three_writers_in_any_order_give_the_same_winner(
    tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    """Late, corrected, withdrawn and doubled, through files and the join."""
    root = tmp_path_factory.mktemp("labels")
    with Store(root / "store").opened() as store:
        join = LabelJoin(store)
        for step, name in enumerate(order):
            path = root / f"{name}.jsonl"
            path.write_bytes(text([WRITERS[name], WRITERS[name]]))
            moment = NOW + dt.timedelta(minutes=step)
            import_labels(store, path, now=moment)
            if step == 1:
                land(store, [prediction()])
                ingest(store, now=lambda: NOW)
            join.run(moment)
        files = [str(path) for path in store.labels.glob("date=*/model=*/*.parquet")]
        assert len(files) == 3
        with duckdb.connect() as connection:
            read = f"read_parquet({files}, hive_partitioning = false)"
            found = connection.execute(LATEST.format(labels=read)).fetchall()
    assert [(row[0], row[2], row[5]) for row in found] == [("a1", None, "clinic")]


def test_the_rule_is_one_that_other_engines_have() -> None:
    sqlglot = pytest.importorskip("sqlglot")
    (told,) = sqlglot.transpile(
        LATEST.format(labels="labels"), read="duckdb", write="spark"
    )
    assert "ROW_NUMBER() OVER" in told
