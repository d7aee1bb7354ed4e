"""`python -m benchmarks.tree_evaluator`: trees by bit masks and by onnxruntime.

Both evaluate the same rows in one process on one thread, in turns, and each run takes
other rows: the same row again and again would flatter both. Prints CPU time and ratios
at 1, 16 and 1,000 rows, and how far the answers agree on rows that were not measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)

from benchmarks.model_folder import made_up_rows, write_model_folder
from benchmarks.servers import ROOT
from slipway.images import tree_extension
from toolchain.errors import OperatorError

COLUMNS = 16
SIZES = (1, 16, 1000)
ROWS = 20_000
ROUND_SECONDS = 0.02
"""Of each evaluator, size and round: the clock of CPU time is read twice for it."""
AIM = 10.0
AIMED_AT = "employment-like"
"""The model that the aim is for: 100 trees of at most 15 leaves."""

MODELS: dict[str, ClassifierMixin] = {
    AIMED_AT: HistGradientBoostingClassifier(max_leaf_nodes=15, early_stopping=False),
    "depth 3": GradientBoostingClassifier(n_estimators=100, max_depth=3),
    "31 leaves": HistGradientBoostingClassifier(early_stopping=False),
    "forest": RandomForestClassifier(100, max_depth=6, random_state=0),
}


@dataclass
class Measurements:
    """CPU seconds of one run by round, of either evaluator."""

    own: list[float] = field(default_factory=list)
    onnxruntime: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        pairs = zip(self.onnxruntime, self.own, strict=True)
        return [theirs / own for theirs, own in pairs]


def main() -> int:
    """Measure and print; return 1 if an answer differs or the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, choices=range(1, 101))
    options = parser.parse_args()
    try:
        extension = tree_extension.folder()
    except (OperatorError, subprocess.SubprocessError, OSError) as error:
        print(f"the extension cannot be compiled: {error}", file=sys.stderr)
        return 2
    sys.path += [str(ROOT / "images/model_server"), str(extension)]
    print(
        f"{COLUMNS} columns; median of {options.rounds} rounds in turns (spread); CPU "
        f"time; load average {os.getloadavg()[0]:.0f}\n\n"
        f"{'model':16}{'rows':>6}{'onnxruntime us':>16}{'masks us':>10}"
        f"{'times as fast':>22}"
    )
    with tempfile.TemporaryDirectory() as folder:
        kept = [_model(Path(folder), name, options.rounds) for name in MODELS]
    return 0 if all(kept) else 1


def _model(folder: Path, name: str, rounds: int) -> bool:
    """Measure one model; whether its answers agree and the aim is kept."""
    own, onnxruntime = _evaluators(folder, name)
    rows, _ = made_up_rows(ROWS, COLUMNS, seed=8)
    medians = []
    for size in SIZES:
        batches = [
            [rows[start : start + size].tobytes()]
            for start in range(0, min(ROWS, 2000 * size), size)
        ]
        measured = _measured(own, onnxruntime, batches, rounds)
        ratios = measured.ratios
        medians.append(statistics.median(ratios))
        print(
            f"{name:16}{size:>6}{statistics.median(measured.onnxruntime) * 1e6:>16.2f}"
            f"{statistics.median(measured.own) * 1e6:>10.2f}"
            f"{medians[-1]:>8.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        )
    is_aimed = name == AIMED_AT
    is_kept = not is_aimed or min(medians) >= AIM
    if is_aimed:
        print(
            f"aim: at least {AIM:g} times onnxruntime at each size: "
            f"{min(medians):.1f} {'kept' if is_kept else 'MISSED'}"
        )
    return _agree(own, onnxruntime, rows[-ROWS:]) and is_kept


def _evaluators(folder: Path, name: str) -> tuple[Any, Any]:
    """The runs of a fitted model by either evaluator."""
    from model_server.model import load_model
    from model_server.tree_evaluator import evaluate_trees

    rows, labels = made_up_rows(4000, COLUMNS)
    classifier = MODELS[name].fit(rows, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # skl2onnx's booleans
        path = write_model_folder(
            folder, classifier, COLUMNS, name=name.replace(" ", "-")
        )
    model = load_model(path, 1)
    onnxruntime = load_model(path, 1)
    if why := evaluate_trees(model, []):
        raise SystemExit(f"{name}: onnxruntime evaluates it: {why}")
    return model.run, onnxruntime.run


def _measured(
    own: Any, onnxruntime: Any, batches: Sequence[list[bytes]], rounds: int
) -> Measurements:
    found = Measurements()
    counts = [_count(run, batches) for run in (own, onnxruntime)]
    for _ in range(rounds):
        found.own.append(_seconds(own, batches, counts[0]))
        found.onnxruntime.append(_seconds(onnxruntime, batches, counts[1]))
    return found


def _count(run: Any, batches: Sequence[list[bytes]]) -> int:
    """The runs that take about `ROUND_SECONDS`."""
    return max(3, int(ROUND_SECONDS / _seconds(run, batches, 20)))


def _seconds(run: Any, batches: Sequence[list[bytes]], count: int) -> float:
    """CPU seconds of one run."""
    chosen = [batches[number % len(batches)] for number in range(count)]
    started = time.process_time()
    for buffers in chosen:
        run(buffers)
    return (time.process_time() - started) / count


def _agree(own: Any, onnxruntime: Any, rows: NDArray[np.float32]) -> bool:
    (labels, scores), (theirs, others) = (
        own([rows.tobytes()]),
        onnxruntime([rows.tobytes()]),
    )
    wrong = int((labels != theirs).sum())
    apart = float(np.abs(scores - others).max())
    print(
        f"{'':16}{len(rows)} rows: {wrong} labels differ, probabilities by at most "
        f"{apart:.1e}\n"
    )
    return wrong == 0 and apart <= 1e-6


if __name__ == "__main__":
    sys.exit(main())
