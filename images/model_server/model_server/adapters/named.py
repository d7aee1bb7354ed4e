"""Rows with named columns: data frames, structured arrays, lists of records.

A model takes columns by their place; whoever gives names means the names. They are
matched with the names in model.yaml (`features`), or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_server.errors import RequestError, invalid
from model_server.manifest import Manifest
from model_server.outputs import Array
from model_server.tensor import Tensor

Convert = Callable[[Array, str], Array]
"""Gives a column the model's datatype; the second is the name for an error."""


@dataclass(frozen=True)
class Named:
    """Columns by name, all of the same length."""

    names: tuple[str, ...]
    rows: int
    column: Callable[[str], Array]


def named(values: Any) -> Named | None:
    """Return the columns of rows with named columns; None for other rows.

    Taken: data frames (pandas, polars and whatever else has `columns`), tables of
    pyarrow, NumPy's structured arrays, sequences of mappings, of named tuples or of
    pandas' Series. A frame whose columns are numbered from 0 has no names. Raises
    `RequestError` for mappings that do not all have the same names.
    """
    if isinstance(values, np.ndarray):
        structured = values.dtype.names
        if structured is None:
            return None
        return Named(structured, len(values), lambda name: values[name])
    if isinstance(values, Sequence) and not isinstance(values, str | bytes):
        return _of_records(values)
    columns = getattr(values, "column_names", None)
    if columns is None:
        columns = getattr(values, "columns", None)
    if columns is None or callable(columns):
        return None
    labels = list(columns)
    if labels == list(range(len(labels))):
        return None
    return Named(
        tuple(str(label) for label in labels),
        len(values),
        lambda name: np.asarray(
            values[next(label for label in labels if str(label) == name)]
        ),
    )


def _record(value: Any) -> dict[str, Any] | None:
    """Return a row with names as a dict; None for other rows."""
    if isinstance(value, np.void):
        names = value.dtype.names
        return None if names is None else {name: value[name] for name in names}
    if fields := getattr(value, "_fields", None):  # a namedtuple
        return dict(zip(fields, value, strict=True))
    if not callable(getattr(value, "keys", None)):  # a mapping, a Series of pandas
        return None
    labels = list(value.keys())
    if not isinstance(value, Mapping) and labels == list(range(len(labels))):
        return None
    return {str(label): value[label] for label in labels}


def _of_records(values: Sequence[Any]) -> Named | None:
    records = [_record(value) for value in values]
    known = [record for record in records if record is not None]
    if not known:
        return None
    names = tuple(known[0])
    for number, record in enumerate(records):
        if record is None:
            raise invalid(f"[{number}]", "must be an object of feature names")
        for name in names:
            if name not in record:
                raise invalid(f"[{number}].{name}", "is missing")
        if unknown := sorted(set(record) - set(names)):
            raise invalid(f"[{number}].{unknown[0]}", "is in no other row")
    return Named(
        names, len(known), lambda name: _column([record[name] for record in known])
    )


def _column(values: list[Any]) -> Array:
    """Return a column; numpy would turn a number beside texts into one."""
    is_text = any(isinstance(value, str | bytes) for value in values)
    return np.array(values, object if is_text else None)


def rows(found: Named, manifest: Manifest, tensor: Tensor, convert: Convert) -> Array:
    """Return the columns in the model's order; raise `RequestError` on other names."""
    features = manifest.features if tensor is manifest.inputs[0] else ()
    problem = _problem(found.names, features, tensor, manifest)
    if problem is not None:
        raise problem
    columns = []
    for name in features:
        column = found.column(name)
        if column.shape != (found.rows,):
            raise invalid(
                f"{tensor.name}.{name}", f"must be one value a row, not {column.shape}"
            )
        columns.append(convert(column, f"{tensor.name}.{name}"))
    stacked = np.stack(columns, axis=1)
    return stacked.reshape(found.rows, *tensor.shape[1:])


def _problem(
    names: Sequence[str],
    features: Sequence[str],
    tensor: Tensor,
    manifest: Manifest,
) -> RequestError | None:
    if not features:
        return invalid(
            tensor.name,
            f"its rows name their columns ({', '.join(names)}), and model.yaml of "
            f"{manifest.name} names none for it (features); give values without names",
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        return invalid(f"{tensor.name}.{twice[0]}", "is there twice")
    if missing := [name for name in features if name not in names]:
        return invalid(f"{tensor.name}.{missing[0]}", "is missing")
    if unknown := [name for name in names if name not in features]:
        return invalid(
            f"{tensor.name}.{unknown[0]}",
            f"is not one of the model's features {', '.join(features)}",
        )
    return None
