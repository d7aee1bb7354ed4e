"""DuckDB as the monitor opens it: no file stays in memory, one serves many users."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import pytest
from model_monitor.store.database import Connection, database
from model_monitor.store.store import Store

from tests.support import kills
from tests.support.monitor_logs import Row, put_predictions

DAY = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def test_files_that_were_read_are_not_kept(tmp_path: Path) -> None:
    """Of a day with many rows, the cache alone would fill the limit."""
    with Store(tmp_path).opened() as store:
        rows = [Row(f"id-{number}", DAY) for number in range(20_000)]
        put_predictions(store, "p", rows, "m")
        files = str(store.predictions / "*/*/*/*/*.parquet")
        with database(store.root, 100) as connection:
            read = f"select count(distinct id) from read_parquet('{files}')"
            assert connection.execute(read).fetchone() == (20_000,)
            kept = dict(
                connection.execute(
                    "select tag, memory_usage_bytes from duckdb_memory()"
                ).fetchall()
            )
    assert kept["EXTERNAL_FILE_CACHE"] == 0


class Opened:
    """The databases that DuckDB was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        connect = duckdb.connect

        def counted(**options: Any) -> Connection:
            self.count += 1
            return connect(**options)

        monkeypatch.setattr(duckdb, "connect", counted)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(monkeypatch)


def tables(connection: Connection) -> list[Any]:
    names = "select table_name from duckdb_tables() union all "
    names += "select view_name from duckdb_views() where not internal"
    return connection.execute(names).fetchall()


def test_one_serves_again_and_nothing_of_the_last_user_is_left(
    tmp_path: Path, opened: Opened
) -> None:
    for _ in range(3):
        with database(tmp_path, 100) as connection:
            assert tables(connection) == []
            assert connection.execute("select getvariable('a')").fetchone() == (None,)
            connection.execute("set variable a = 1")
            connection.execute("create temp table one as select range from range(9)")
            connection.execute("create temp view two as select * from one")
    assert opened.count == 1


def test_a_table_that_is_not_temporary_is_not_left_to_the_next(
    tmp_path: Path, opened: Opened
) -> None:
    for _ in range(2):
        with database(tmp_path, 100) as connection:
            connection.execute("create table one as select 1")
    assert opened.count == 2


def test_two_at_a_time_have_one_each(tmp_path: Path, opened: Opened) -> None:
    for _ in range(2):
        with database(tmp_path, 100) as first, database(tmp_path, 100) as second:
            first.execute("create table one as select 1")
            assert tables(second) == []
    assert opened.count == 3


def test_after_an_error_it_is_closed(tmp_path: Path, opened: Opened) -> None:
    for _ in range(2):
        with (
            pytest.raises(duckdb.Error, match="nothing"),
            database(tmp_path, 100) as it,
        ):
            it.execute("select * from nothing")
    assert opened.count == 2


def test_one_that_has_spilled_is_closed_with_its_folder(
    tmp_path: Path, opened: Opened
) -> None:
    rows = "create temp table big as select uuid() as id from range(800000)"
    for _ in range(2):
        with database(tmp_path, 8) as connection:
            connection.execute(rows)
            (folder,) = tmp_path.iterdir()
        assert not folder.exists()
    assert opened.count == 2


def test_each_has_the_files_of_its_root_and_its_own_only(tmp_path: Path) -> None:
    roots = [tmp_path / "a", tmp_path / "b"]
    for root in roots:
        root.mkdir()
        (root / "file.csv").write_text(f"name\n{root.name}\n")
    (tmp_path / "file.csv").write_text("name\nc\n")
    files = [folder / "file.csv" for folder in (*roots, tmp_path)]
    for root, own, *others in (
        (roots[0], files[0], files[1], files[2]),
        (roots[1], files[1], files[0], files[2]),
        (roots[0], files[0], files[1], files[2]),
    ):
        for given in (None, own, roots[0] / "../file.csv"):
            with database(root, 100, given) as connection:
                read = connection.execute(f"from read_csv('{own}')").fetchall()
                assert read == [(root.name,)]
        for other in others:
            with (
                pytest.raises(duckdb.PermissionException),
                database(root, 100, own) as connection,
            ):
                connection.execute(f"from read_csv('{other}')")
    given = roots[0] / "../file.csv"
    with database(roots[0], 100, given) as connection:
        assert connection.execute(f"from read_csv('{given}')").fetchall() == [("c",)]


def test_few_wait_and_none_is_taken_into_a_fork(tmp_path: Path, opened: Opened) -> None:
    for mebibytes in range(100, 105):
        with database(tmp_path, mebibytes):
            pass
    with database(tmp_path, 104):
        pass
    assert opened.count == 5
    with database(tmp_path, 100):
        pass
    assert opened.count == 6
    assert kills.wait(kills.start(lambda: None)) == 0
    with database(tmp_path, 104):
        pass
    assert opened.count == 7
