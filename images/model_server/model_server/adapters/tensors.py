"""Rows as an application has them, made a request of a model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model_server.adapters import named
from model_server.adapters.packing import as_array, converted
from model_server.binary import RawInput, packed
from model_server.datatypes import DATATYPES
from model_server.endpoint import Endpoint
from model_server.errors import invalid
from model_server.manifest import Manifest
from model_server.outputs import Array
from model_server.protocol import Inference
from model_server.tensor import Tensor

Rows = ArrayLike | Mapping[str, ArrayLike]
"""Rows of the model's only input, or of each of its inputs by name; rows come first.

Rows that name their columns (a data frame, records) are taken by these names.
"""


def inference(endpoint: Endpoint, rows: Rows) -> Inference:
    """Return rows as a request of a model; raise `RequestError` if they do not fit."""
    tensors = {tensor.name: tensor for tensor in endpoint.manifest.inputs}
    if not isinstance(rows, Mapping):
        if len(tensors) > 1:
            names = ", ".join(tensors)
            raise invalid("inputs", f"the model has {names}; give rows for each name")
        rows = dict.fromkeys(tensors, rows)
    manifest = endpoint.manifest
    return endpoint.raw_reader.read(
        None, [_raw(manifest, tensors.get(name), name, rows[name]) for name in rows]
    )


def _raw(
    manifest: Manifest, tensor: Tensor | None, name: str, values: ArrayLike
) -> RawInput:
    if tensor is None:  # the reader says what there is
        return RawInput(name, "", np.shape(values), memoryview(b""))

    def convert(array: Array, path: str) -> Array:
        return converted(tensor, array, path)

    columns = named.named(values)
    if columns is None:
        array = convert(as_array(tensor, values), name)
    else:
        array = named.rows(columns, manifest, tensor, convert)
    data = packed(array, tensor.datatype)
    return RawInput(name, tensor.datatype, array.shape, memoryview(data))


def rows_of(
    manifest: Manifest, records: Iterable[Mapping[str, Any]]
) -> NDArray[np.float64] | NDArray[np.object_]:
    """Return named features as rows in the order of the model's columns.

    They are texts, in an array of objects, if the model's input is. None and NaN are
    missing values, and NaN in the rows, if the input takes those.

    Raises `RequestError` with the first name that is missing, unknown or no number.
    """
    features = manifest.features
    if not features:
        raise invalid("features", f"model.yaml of {manifest.name} names no columns")
    tensor = manifest.inputs[0]
    rows = []
    for number, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise invalid(f"[{number}]", "must be an object of feature names")
        if unknown := sorted(set(record) - set(features)):
            raise invalid(
                f"[{number}].{unknown[0]}",
                f"is not one of the model's features {', '.join(features)}",
            )
        rows.append([_value(tensor, record, name, number) for name in features])
    return np.array(
        rows, np.float64 if DATATYPES[tensor.datatype].is_packed else object
    )


def _value(
    tensor: Tensor, record: Mapping[str, Any], name: str, number: int
) -> float | str:
    path = f"[{number}].{name}"
    if name not in record:
        raise invalid(path, "is missing")
    value = record[name]
    if not DATATYPES[tensor.datatype].is_packed:
        if isinstance(value, str):
            return value
        raise invalid(path, "must be a text")
    if tensor.missing_values and value is None:
        return math.nan
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and tensor.missing_values and math.isnan(value):
        return math.nan
    if not is_number or not math.isfinite(value):
        raise invalid(path, "must be a number")
    return float(value)
