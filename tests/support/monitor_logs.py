"""A monitor's store with made-up logs: rows become parquet files as agreed."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from model_monitor.store.store import Part, Store

TIME = pa.timestamp("us")
Scalar = float | int | str | bool | None


@dataclass(frozen=True)
class Row:
    """One record of the prediction log; with a `code`, of a refused request."""

    id: str
    time: dt.datetime
    row: int = 0
    revision: str = "r1"
    arm: str = "stable"
    code: str | None = None
    decision: str | None = "0"
    decision_number: float | None = None
    score: float | None = None
    latency_seconds: float = 0.001
    features: Mapping[str, Scalar] = field(default_factory=dict)
    unit: str | None = None


@dataclass(frozen=True)
class Label:
    """One label of a prediction of the day `day`."""

    id: str
    label: str | None
    label_time: dt.datetime
    day: dt.date
    row: int = 0
    label_number: float | None = None
    source: str = "test"
    received: dt.datetime | None = None


@dataclass(frozen=True)
class Member:
    """The protected attributes of one row."""

    id: str
    time: dt.datetime
    attributes: Mapping[str, str]
    row: int = 0
    revision: str = "r1"


Record = TypeVar("Record", Row, Member)


def put_predictions(store: Store, name: str, rows: Sequence[Row], model: str) -> None:
    """Write rows as the files that one landed file becomes."""
    for part, some in _parts(rows, model).items():
        columns: dict[str, pa.Array] = {
            "id": pa.array([it.id for it in some], pa.string()),
            "row": pa.array([it.row for it in some], pa.int32()),
            "time": pa.array([it.time for it in some], TIME),
            "model": pa.array([model] * len(some)),
            "version": pa.array(["1"] * len(some)),
            "revision": pa.array([it.revision for it in some]),
            "arm": pa.array([it.arm for it in some]),
            "status": pa.array([503 if it.code else 200 for it in some], pa.int32()),
            "code": pa.array([it.code for it in some], pa.string()),
            "latency_seconds": pa.array([it.latency_seconds for it in some]),
            "decision": pa.array([it.decision for it in some], pa.string()),
            "decision_number": pa.array([_number(it) for it in some], pa.float64()),
            "score": pa.array([it.score for it in some], pa.float64()),
            "scores": pa.array([None] * len(some), pa.list_(pa.float64())),
            **_features(some),
        }
        # Servers without an experiment write none.
        if any(it.unit for it in some):
            columns["unit"] = pa.array([it.unit for it in some], pa.string())
        _write(store.part("predictions", part, name), columns)


def put_protected(store: Store, name: str, rows: Sequence[Member], model: str) -> None:
    for part, some in _parts(rows, model).items():
        names = dict.fromkeys(name for it in some for name in it.attributes)
        columns = {
            "id": pa.array([it.id for it in some], pa.string()),
            "row": pa.array([it.row for it in some], pa.int32()),
            "time": pa.array([it.time for it in some], TIME),
            "model": pa.array([model] * len(some)),
            "revision": pa.array([it.revision for it in some]),
        } | {
            f"a:{name}": pa.array([it.attributes.get(name) for it in some], pa.string())
            for name in names
        }
        _write(store.part("protected", part, name), columns)


def put_labels(store: Store, name: str, labels: Sequence[Label], model: str) -> None:
    by_day: dict[dt.date, list[Label]] = defaultdict(list)
    for it in labels:
        by_day[it.day].append(it)
    for day, some in by_day.items():
        received = [it.received or it.label_time for it in some]
        midnight = dt.datetime.combine(day, dt.time())
        columns = {
            "id": pa.array([it.id for it in some], pa.string()),
            "row": pa.array([it.row for it in some], pa.int32()),
            "label": pa.array([it.label for it in some], pa.string()),
            "label_number": pa.array([it.label_number for it in some], pa.float64()),
            "label_time": pa.array([it.label_time for it in some], TIME),
            "source": pa.array([it.source for it in some]),
            "received": pa.array(received, TIME),
            "prediction_time": pa.array([midnight] * len(some), TIME),
        }
        path = store.labels_of(day.isoformat(), model) / f"{name}.parquet"
        _write(path, columns)


def _parts(rows: Sequence[Record], model: str) -> dict[Part, list[Record]]:
    found: dict[Part, list[Record]] = defaultdict(list)
    for it in rows:
        date, hour = it.time.date().isoformat(), f"{it.time.hour:02}"
        found[Part(date, hour, model, it.revision)].append(it)
    return found


def _number(row: Row) -> float | None:
    if row.decision_number is not None or row.decision is None:
        return row.decision_number
    try:
        return float(row.decision)
    except ValueError:
        return None


def _features(rows: Sequence[Row]) -> dict[str, pa.Array]:
    """Return a column for each feature: of numbers, or of text where any value is."""
    found = {}
    for name in dict.fromkeys(name for it in rows for name in it.features):
        values = [it.features.get(name) for it in rows]
        if any(isinstance(value, str) for value in values):
            texts = [None if value is None else _text(value) for value in values]
            found[f"t:{name}"] = pa.array(texts, pa.string())
        else:
            numbers = [None if value is None else float(value) for value in values]
            found[f"x:{name}"] = pa.array(numbers, pa.float64())
    return found


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _write(path: Path, columns: Mapping[str, pa.Array]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path)
