"""Records of a prediction log, for tests of the model monitor."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
from model_monitor.store import Store

NOW = dt.datetime(2026, 11, 29, 14, 0, tzinfo=dt.UTC)
NAME = "predictions-host-20261129T133000-7-000001.jsonl.gz"


def prediction(**changes: Any) -> dict[str, Any]:
    """A record as the model server writes it; None as a change leaves a field out."""
    record = {
        "id": "a1",
        "row": 0,
        "time": "2026-11-29T13:30:09.123456Z",
        "model": "employment",
        "version": "1.2",
        "revision": "r1",
        "arm": "stable",
        "status": 200,
        "latency_seconds": 0.0025,
        "features": {"AGEP": 41, "SCHL": "BA"},
        "decision": 1,
        "score": 0.75,
        **changes,
    }
    return {key: value for key, value in record.items() if value is not LEFT_OUT}


LEFT_OUT = object()
"""The value of a field that a record does not have."""


def protected(**changes: Any) -> dict[str, Any]:
    kept = ("id", "row", "time", "model", "revision")
    record = {key: value for key, value in prediction().items() if key in kept}
    return {**record, "attributes": {"SEX": 1, "RAC1P": "2"}, **changes}


def label(**changes: Any) -> dict[str, Any]:
    record = {
        "id": "a1",
        "row": 0,
        "label": 1,
        "label_time": "2026-11-29T13:45:00Z",
        "source": "registry",
        **changes,
    }
    return {key: value for key, value in record.items() if value is not LEFT_OUT}


def text(records: Iterable[Any]) -> bytes:
    """Records as JSON lines; a record that is bytes already is a line as it is."""
    lines = (it if isinstance(it, bytes) else json.dumps(it).encode() for it in records)
    return b"".join(line + b"\n" for line in lines)


def land(store: Store, records: Iterable[Any], name: str = NAME) -> Path:
    """Put a shipped file into landing/."""
    path = store.landing / name
    content = text(records)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def rows(folder: Path, sql: str = "select * from files") -> list[dict[str, Any]]:
    """What the parquet files below a folder say, in the order of their names."""
    paths = sorted(str(path) for path in folder.rglob("*.parquet"))
    if not paths:
        return []
    with duckdb.connect() as connection:
        files = connection.read_parquet(
            paths, union_by_name=True, hive_partitioning=False
        )
        connection.register("files", files)
        found = connection.execute(sql)
        names = [column for column, *_ in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def tree(root: Path) -> dict[str, bytes]:
    """The content of every file below a folder by its path, without our receipts."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
