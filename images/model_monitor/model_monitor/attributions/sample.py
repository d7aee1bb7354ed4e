"""The day's sample: what the job that makes attributions may see of a log.

It holds values of features that model.yaml keeps or buckets, the score and the label.
It has no ids, no times, no hashed values, which are pseudonyms, and no protected
attributes, also where the log keeps one as a feature.

The rows are those with the lowest MD5 of id and row: the same ones each time, whatever
the order of the files, and a fair sample as long as senders do not choose ids by it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from model_monitor.config import Model
from model_monitor.labels.latest import LATEST
from model_monitor.store.database import Connection, database, name, text
from model_monitor.store.names import quoted
from model_monitor.store.store import Store

MEMORY_MIB = 96
"""Beside the cycle's own memory; more is written to disk."""

Scalar = float | str | None


class NoPolicyError(Exception):
    """No model.yaml of the revision can be read, so that nothing may be shown."""


@dataclass(frozen=True)
class Sample:
    """Rows of one day and revision, column by column."""

    rows: int
    features: Mapping[str, Sequence[Scalar]]
    scores: Sequence[Scalar]
    labels: Sequence[str | None]


def shown_features(model: Model, revision: str) -> list[str]:
    """Return the features that may be shown, by model.yaml beside the reference.

    It says how its own revision was logged, and nothing of others: what it keeps may
    have been hashed by another.
    """
    if model.reference is None:
        raise NoPolicyError(f"{model.name}: no reference, and so no model.yaml")
    file = model.reference.with_name("model.yaml")
    try:
        content = yaml.safe_load(file.read_text())
        own = str(content.get("revision", ""))
        log = content.get("log") or {}
        shown = [*log.get("keep", []), *log.get("bucket", {})]
        hidden = {*log.get("protected", []), *log.get("hash", [])}
    except (OSError, AttributeError, TypeError, ValueError, yaml.YAMLError) as error:
        raise NoPolicyError(f"{file}: cannot be read: {error}") from None
    if own != revision:
        raise NoPolicyError(f"{file}: is of the revision {own!r}, not {revision!r}")
    return [it for it in shown if it not in hidden | {*model.fairness.attributes}]


def take(store: Store, model: Model, revision: str, day: dt.date, rows: int) -> Sample:
    """Return a sample of one day. Raises NoPolicyError, duckdb.Error and OSError."""
    features = shown_features(model, revision)
    files = sorted(
        store.predictions.glob(
            f"date={day}/hour=*/model={quoted(model.name)}/"
            f"revision={quoted(revision)}/*.parquet"
        )
    )
    labels = sorted(store.labels_of(day.isoformat(), model.name).glob("*.parquet"))
    if not files or not features:
        return Sample(0, {}, [], [])
    with database(store.root, MEMORY_MIB) as connection:
        found, columns = _rows(connection, files, features, rows)
        known = _labels(connection, labels)
    return Sample(
        len(found),
        {
            feature: [_first(row[place] for place in places) for row in found]
            for feature, places in columns.items()
        },
        [_first([row[2]]) for row in found],
        [known.get(row[:2]) for row in found],
    )


def _first(values: Iterable[Scalar]) -> Scalar:
    """Return the value of the columns that has one; JSON has no NaN."""
    for it in values:
        if it is not None and not (isinstance(it, float) and math.isnan(it)):
            return it
    return None


def _rows(
    connection: Connection, files: Sequence[Path], features: Sequence[str], rows: int
) -> tuple[list[tuple[Any, ...]], dict[str, list[int]]]:
    """Return id, row, score, time and values, and where each feature's values are.

    A feature has a column of numbers, one of text, both, or none.
    """
    described = connection.execute(f"describe from {_read(files)}").fetchall()
    there = {column for column, *_ in described}
    chosen = ["id", "row", "score", "time"]
    places: dict[str, list[int]] = {it: [] for it in features}
    for feature in features:
        for column in (f"x:{feature}", f"t:{feature}"):
            if column in there:
                places[feature].append(len(chosen))
                chosen.append(column)
    # Twice as many, since a log may have a row twice.
    connection.execute(
        f"""create temp table sampled as
select * exclude (place) from (
    select distinct on (place) * from (
        select {", ".join(map(name, chosen))},
               md5(concat(id, ':', "row")) as place
        from {_read(files)} where code is null
        order by place, "time" limit {2 * rows}
    ) order by place, "time"
) limit {rows}"""  # noqa: S608, names are quoted above
    )
    return list(connection.execute("from sampled").fetchall()), places


def _labels(
    connection: Connection, files: Sequence[Path]
) -> dict[tuple[Any, ...], str | None]:
    """Return the labels that hold, by id and row, of the sample."""
    if not files:
        return {}
    connection.execute(
        f"create temp view chosen as select l.* from {_read(files)} as l "  # noqa: S608
        'semi join sampled as s on l.id = s.id and l."row" = s."row"'
    )
    found = connection.execute(
        f'select id, "row", label from ({LATEST.format(labels="chosen")})'  # noqa: S608
    )
    return {tuple(row[:2]): row[2] for row in found.fetchall()}


def _read(files: Sequence[Path]) -> str:
    listed = ", ".join(text(str(it)) for it in files)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
