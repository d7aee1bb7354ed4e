"""Converts an application's values of one input to the model's datatype."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from model_server.datatypes import BFLOAT16, DATATYPES, TEXT
from model_server.errors import invalid
from model_server.outputs import Array
from model_server.tensor import Tensor
from model_server.wording import kind_of


def as_array(tensor: Tensor, values: ArrayLike) -> Array:
    """Return values as numpy takes them; texts as objects, since its own lose zeros."""
    if tensor.datatype == TEXT and not isinstance(values, np.ndarray):
        return np.asarray(values, object)
    return np.ma.asarray(values)


def converted(tensor: Tensor, array: Array, path: str) -> Array:
    """Return the array in the model's datatype, as `binary.packed` takes it.

    Numbers may be rounded to fewer digits, but be no others after it. None and what a
    mask hides are missing values, which only an input with that setting takes. Raises
    `RequestError` with the path if they do not fit.
    """
    if tensor.datatype == TEXT:
        return _texts(array, path)
    array = _with_nan(array, tensor, path)
    is_bfloat16 = tensor.datatype == BFLOAT16
    dtype = np.dtype("<f4") if is_bfloat16 else DATATYPES[tensor.datatype].dtype
    return _cast(array, dtype, path)


def _texts(array: Array, path: str) -> Array:
    flat = array.ravel().tolist()
    for number, value in enumerate(flat):
        if not isinstance(value, str | bytes):
            kind = kind_of(value)
            raise invalid(
                path, f"value {number} (row by row) is {kind}, which is not text"
            )
        try:
            value.encode() if isinstance(value, str) else value.decode()
        except UnicodeError:
            raise invalid(path, f"value {number} (row by row) is not UTF-8") from None
    texts = np.empty(len(flat), object)
    texts[:] = flat
    return texts.reshape(array.shape)


def _with_nan(array: Array, tensor: Tensor, path: str) -> Array:
    """Return numbers with NaN for what is missing in them."""
    if isinstance(array, np.ma.MaskedArray):
        mask, array = np.ma.getmaskarray(array), array.data
        if mask.any():
            _check_may_miss(tensor, "is masked", path)
            return np.where(mask, math.nan, array.astype(np.float64))
    if array.dtype != object:
        return array
    flat = array.ravel().tolist()
    missing = [_is_missing(value) for value in flat]
    if not any(missing):
        return np.array(flat).reshape(array.shape)
    _check_may_miss(tensor, "is missing", path)
    filled = [
        math.nan if is_missing else value
        for value, is_missing in zip(flat, missing, strict=True)
    ]
    return np.array(filled).reshape(array.shape)


def _is_missing(value: object) -> bool:
    # pandas.NA takes part in no comparison, and pandas may not be there.
    return value is None or type(value).__name__ == "NAType"


def _check_may_miss(tensor: Tensor, what: str, path: str) -> None:
    if not tensor.missing_values:
        raise invalid(
            path,
            f"a value {what}; model.yaml can allow missing values by the input's "
            "missing_values: true",
        )


def _cast(array: Array, dtype: np.dtype[Any], path: str) -> Array:
    """Return the array in the model's datatype; only rounding of fractions is fine."""
    # Whole numbers are the same in every datatype that holds them, as checked below.
    are_whole = array.dtype.kind in "iu" and dtype.kind in "iu"
    casting: Literal["unsafe", "same_kind"] = "unsafe" if are_whole else "same_kind"
    try:
        with np.errstate(over="ignore"):  # the reader refuses what became infinite
            cast: Array = array.astype(dtype, casting=casting)
    except TypeError as error:  # it names the datatypes
        raise invalid(path, f"{error}; the model takes {dtype.name}") from None
    except ValueError:  # it may repeat a value
        raise invalid(path, f"holds values that are not {dtype.name}") from None
    if dtype.kind in "iu" and not np.array_equal(cast, array):
        raise invalid(path, f"holds numbers that {dtype.name} cannot")
    return cast
