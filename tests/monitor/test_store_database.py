"""DuckDB as the monitor opens it: what was read of files does not stay in memory."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from model_monitor.store.database import database
from model_monitor.store.store import Store

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
