"""Gives memory that is free back to the system, where the C library can."""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def _trimmer() -> Callable[[int], object] | None:
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):  # not the GNU C library
        return None
    return trim


_trim = _trimmer()


def give_back() -> None:
    """Give back free memory between what is in use; it takes some microseconds a MiB.

    malloc itself gives back what is free at its heap's end only
    (https://man7.org/linux/man-pages/man3/malloc_trim.3.html).
    """
    if _trim is not None:
        _trim(0)
