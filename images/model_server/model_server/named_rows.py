"""Rows by the input's name, as model.yaml and examples.json hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import orjson

from model_server.buffers import Buffer, join, sizes
from model_server.errors import RequestError
from model_server.manifest import Manifest, ModelFolderError
from model_server.protocol import Reader

Row = Sequence[Buffer]
"""One row of each input, in the order of the manifest."""


def read_rows(manifest: Manifest, named: Mapping[str, Any], where: str) -> list[Row]:
    """Return the rows; each is read as a request of one row is, and held to the same.

    `named` has a list of rows for each input, all of one length; `where` begins the
    text of the `ModelFolderError` that is raised if it has not.
    """
    names = [tensor.name for tensor in manifest.inputs]
    if set(named) != set(names):
        given = ", ".join(map(str, named)) or "nothing"
        takes = ", ".join(names)
        raise ModelFolderError(
            [f"{where}: has rows of {given}, the model takes {takes}"]
        )
    lists = {name: named[name] for name in names}
    check_lengths(lists, where)
    reader = Reader(manifest, 1)
    rows: list[Row] = []
    for number in range(len(lists[names[0]])):
        inputs = []
        for tensor in manifest.inputs:
            value = lists[tensor.name][number]
            inputs.append(
                {
                    "name": tensor.name,
                    "datatype": tensor.datatype,
                    "shape": [1, *_shape(value, len(tensor.shape) - 1)],
                    "data": [value],
                }
            )
        try:
            rows.append(reader.read(orjson.dumps({"inputs": inputs})).buffers)
        except RequestError as error:
            raise ModelFolderError(
                [f"{where}: row {number}: {error.message}"]
            ) from error
        except orjson.JSONEncodeError as error:
            raise ModelFolderError([f"{where}: row {number}: {error}"]) from error
    return rows


def check_lengths(lists: Mapping[str, Any], where: str) -> None:
    """Raise `ModelFolderError` unless all are lists of one length, which is not 0."""
    for name, rows in lists.items():
        if not isinstance(rows, list) or not rows:
            raise ModelFolderError(
                [f"{where}.{name}: must be a list of at least one row"]
            )
    lengths = {name: len(rows) for name, rows in lists.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in lengths.items())
        raise ModelFolderError([f"{where}: has different numbers of rows: {counts}"])


def joined(rows: Iterable[Row]) -> list[Buffer]:
    """Return rows as the buffers of one run; they must be `alike`."""
    return [join(parts) for parts in zip(*rows, strict=True)]


def different(rows: Iterable[Row]) -> list[Row]:
    """Return each row once."""
    return list({key(row): row for row in rows}.values())


def alike(rows: Sequence[Row]) -> list[list[Row]]:
    """Return rows in groups that can share a run: neighbours of the same sizes."""
    return [list(group) for _, group in groupby(rows, sizes)]


def key(row: Row) -> tuple[object, ...]:
    """Return what is equal for equal rows."""
    return tuple(
        it if isinstance(it, bytes) else (it.shape, tuple(it.ravel().tolist()))
        for it in row
    )


def _shape(value: object, rank: int) -> list[int]:
    """Return the shape of a row by its nesting, at most so deep."""
    shape: list[int] = []
    while isinstance(value, list) and len(shape) < rank:
        shape.append(len(value))
        value = value[0] if value else None
    return shape
