"""Checkpoints: the step and the arrays, in one file that is whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]
FILE = "checkpoint.npz"


def load(folder: str | None) -> tuple[int, Arrays] | None:
    """The step that is done and its arrays; None without a checkpoint."""
    if not folder or not (path := Path(folder) / FILE).is_file():
        return None
    with np.load(path) as held:
        arrays = {name: held[name] for name in held.files}
    return int(arrays.pop("step")), arrays


def save(folder: str | None, step: int, arrays: Arrays) -> None:
    """Write a checkpoint in place of the last one; nothing without a folder."""
    if not folder:
        return
    path = Path(folder) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, step=np.array(step), **arrays)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
