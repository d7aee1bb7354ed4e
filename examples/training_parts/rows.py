"""Training rows from a file, the same for every framework."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from zipfile import BadZipFile

import numpy as np

FILE = "rows.npz"
CANNOT_WORK = 78
"""Exit status that ends a run at once: another try would fail like this one."""


@dataclass(frozen=True)
class Rows:
    """Rows scaled to mean 0 and deviation 1, with their labels.

    x: FP32 [rows, features]; y: INT64 [rows], 0 or 1. `mean` and `deviation`, each
    FP32 [features], are those of all rows.
    """

    x: np.ndarray[Any, np.dtype[np.float32]]
    y: np.ndarray[Any, np.dtype[np.int64]]
    mean: np.ndarray[Any, np.dtype[np.float32]]
    deviation: np.ndarray[Any, np.dtype[np.float32]]

    def share(self, worker: int, workers: int) -> Rows:
        """The rows of one of the workers; all workers get the same number."""
        count = len(self.x) // workers
        part = slice(worker * count, (worker + 1) * count)
        return Rows(self.x[part], self.y[part], self.mean, self.deviation)


def _refuse(path: Path, reason: str) -> NoReturn:
    print(f"error: {path} of the job's `data.image` {reason}", flush=True)
    raise SystemExit(CANNOT_WORK)


def read(folder: str | None = None) -> Rows:
    """Read rows.npz, with arrays `x` and `y`, in a folder: default $SLIPWAY_DATA.

    Exits with 78 if there is no such file, or it has something else.
    """
    path = Path(folder or os.environ.get("SLIPWAY_DATA", "/data")) / FILE
    try:
        with np.load(path) as held:
            x, y = held["x"].astype(np.float32), held["y"]
    except (OSError, ValueError, TypeError, LookupError, EOFError, BadZipFile) as error:
        _refuse(path, f"cannot be read: {error}")
    if x.ndim != 2 or not x.size or y.shape != x.shape[:1]:
        _refuse(path, "needs x [rows, features] and y [rows], with at least one row")
    if not np.isin(y, (0, 1)).all():
        _refuse(path, "needs labels y of 0 and 1")
    if not np.isfinite(x).all():
        _refuse(path, "has numbers in x that are not finite: one makes all weights so")
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation == 0] = 1
    return Rows((x - mean) / deviation, y.astype(np.int64), mean, deviation)
