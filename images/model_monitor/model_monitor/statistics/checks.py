"""Input checks of the statistics: whole counts and finite numbers, or a ValueError."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST = 2**53
"""Greatest count: beyond it a float does not hold every whole number."""


def counts(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """Return counts as an array of whole numbers; raise ValueError for anything else.

    Floats pass if they are whole, since a sum in SQL may be one.
    """
    given = _array(values, name)
    wrong = ~((given >= 0) & (given <= MOST) & (given == np.floor(given)))
    if wrong.any():
        raise ValueError(
            f"{name}{_first(wrong, given)}: a count is a whole number from 0 to 2**53"
        )
    return np.asarray(values, dtype=np.int64)


def count(value: int, name: str) -> int:
    """Return one count; raise ValueError for what is none."""
    return int(counts([value], name)[0])


def numbers(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return numbers as an array; raise ValueError for NaN and infinities."""
    given = _array(values, name)
    wrong = ~np.isfinite(given)
    if wrong.any():
        raise ValueError(f"{name}{_first(wrong, given)}: must be a finite number")
    return given


def shares(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return numbers from 0 to 1; raise ValueError for any other."""
    given = numbers(values, name)
    wrong = (given < 0) | (given > 1)
    if wrong.any():
        raise ValueError(f"{name}{_first(wrong, given)}: must lie between 0 and 1")
    return given


def share(value: float, name: str) -> float:
    """Return one number strictly between 0 and 1, such as a level of confidence."""
    if not 0 < value < 1:
        raise ValueError(f"{name} = {value!r}: must lie between 0 and 1, both excluded")
    return float(value)


def one_length(**arrays: Sequence[object] | NDArray[np.generic]) -> None:
    """Raise ValueError unless all have as many entries as the first."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            "must have one length, but "
            + ", ".join(f"{name} has {length}" for name, length in lengths.items())
        )


def _array(values: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} = {values!r}: must be numbers") from None


def _first(wrong: NDArray[np.bool_], given: NDArray[np.float64]) -> str:
    """Return where the first wrong entry is, and what it is."""
    at = tuple(int(index[0]) for index in np.nonzero(np.atleast_1d(wrong)))
    place = ", ".join(map(str, at))
    return f"[{place}] = {np.atleast_1d(given)[at]:g}"
