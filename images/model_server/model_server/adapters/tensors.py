"""Rows as an application has them, made a request of a model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model_server.binary import RawInput, packed
from model_server.datatypes import DATATYPES
from model_server.endpoint import Endpoint
from model_server.errors import invalid
from model_server.manifest import Manifest, Tensor
from model_server.outputs import Array
from model_server.protocol import Inference

Rows = ArrayLike | Mapping[str, ArrayLike]
"""Rows of the model's only input, or of each of its inputs by name; rows come first."""


def inference(endpoint: Endpoint, rows: Rows) -> Inference:
    """Return rows as a request of a model; raise `RequestError` if they do not fit."""
    tensors = {tensor.name: tensor for tensor in endpoint.manifest.inputs}
    if not isinstance(rows, Mapping):
        if len(tensors) > 1:
            names = ", ".join(tensors)
            raise invalid("inputs", f"the model has {names}; give rows for each name")
        rows = dict.fromkeys(tensors, rows)
    return endpoint.raw_reader.read(
        None, [_raw(tensors.get(name), name, rows[name]) for name in rows]
    )


def _raw(tensor: Tensor | None, name: str, values: ArrayLike) -> RawInput:
    array = np.asarray(values)
    if tensor is None:  # the reader says what there is
        return RawInput(name, "", array.shape, memoryview(b""))
    if tensor.datatype == "BYTES":
        data = packed(array.astype(object))
    else:
        data = packed(_converted(array, DATATYPES[tensor.datatype].dtype, name))
    return RawInput(name, tensor.datatype, array.shape, memoryview(data))


def _converted(array: Array, dtype: np.dtype[Any], name: str) -> Array:
    """Return the array in the model's datatype; only rounding of fractions is fine."""
    try:
        converted: Array = array.astype(dtype, casting="same_kind")
    except (TypeError, ValueError) as error:
        raise invalid(name, f"{error}; the model takes {dtype.name}") from None
    if dtype.kind in "iu" and not np.array_equal(converted, array):
        raise invalid(name, f"holds numbers that {dtype.name} cannot")
    return converted


def rows_of(
    manifest: Manifest, records: Iterable[Mapping[str, Any]]
) -> NDArray[np.float64]:
    """Return named features as rows in the order of the model's columns.

    Raises `RequestError` with the first name that is missing, unknown or no number.
    """
    features = manifest.features
    if not features:
        raise invalid("features", f"model.yaml of {manifest.name} names no columns")
    rows = []
    for number, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise invalid(f"[{number}]", "must be an object of feature names")
        if unknown := sorted(set(record) - set(features)):
            raise invalid(
                f"[{number}].{unknown[0]}",
                f"is none of the model's features {', '.join(features)}",
            )
        rows.append([_number(record, name, number) for name in features])
    return np.array(rows, np.float64)


def _number(record: Mapping[str, Any], name: str, number: int) -> float:
    value = record.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):  # type: ignore[arg-type]
        problem = "must be a number" if name in record else "is missing"
        raise invalid(f"[{number}].{name}", problem)
    return float(value)  # type: ignore[arg-type]
