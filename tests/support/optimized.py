"""Models to optimize: a network and trees on made-up rows, measured without a clock."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from model_server.config import read
from model_server.model import load_model
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.neural_network import MLPClassifier

from benchmarks.model_folder import made_up_rows, write_model_folder
from slipway.optimize.candidate import Bench
from slipway.optimize.rows import CALIBRATION_ROWS

COLUMNS = 4
JUDGING_ROWS = 6000
ROWS = CALIBRATION_ROWS + JUDGING_ROWS
TOWN = "town"
"""A protected attribute that is not a feature; the feature f3 is protected too."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings: of a training that stops early, and of skl2onnx's booleans."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def rows() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows and labels; f3 is 0 or 1. Far from the boundary of any good model."""
    values, labels = made_up_rows(ROWS, COLUMNS)
    values[:, 0] = 0.3 * values[:, 0] + np.where(labels, 2, -2)
    values[:, 3] = values[:, 3] > 0
    return values, labels


def towns() -> NDArray[np.str_]:
    """A large one, and one of few rows."""
    return np.where(np.arange(ROWS) % 40 == 0, "Ayr", "Bath")


def network() -> ClassifierMixin:
    values, labels = rows()
    with quiet():
        return MLPClassifier((64, 32), max_iter=12, random_state=0).fit(values, labels)


def trees() -> ClassifierMixin:
    return GradientBoostingClassifier(n_estimators=20, random_state=0).fit(*rows())


def write(folder: Path, classifier: ClassifierMixin) -> Path:
    """A model folder with examples, a reference and a protected feature."""
    with quiet():
        path = write_model_folder(folder, classifier, COLUMNS)
    content = yaml.safe_load((path / "model.yaml").read_text())
    content["log"] = {"keep": ["f0", "f1", "f2"], "protected": ["f3"]}
    content["metrics"] = {2015: {"accuracy": 0.9}}
    (path / "model.yaml").write_text(yaml.safe_dump(content))
    values, _ = rows()
    model = load_model(path, 1)
    label, scores = model.run([values[:10].tobytes()])
    names = [it.name for it in model.manifest.outputs]
    examples = {
        "inputs": {"X": values[:10].tolist()},
        "outputs": dict(zip(names, (label.tolist(), scores.tolist()), strict=True)),
    }
    (path / "examples.json").write_text(json.dumps(examples))
    reference = {"revision": content["revision"], "rows": 3}
    (path / "reference.json").write_text(json.dumps(reference))
    return path


def write_rows(file: Path) -> Path:
    values, labels = rows()
    np.savez(file, X=values, label=labels, town=towns())
    return file


def bench(original: Path, speed: float = 2.0, **settings: Any) -> Bench:
    """Candidates are so many times as fast as the original, to the last digit."""

    def stopwatch(run: Callable[..., Any], batches: Sequence[Any]) -> float:
        model = getattr(run, "__self__", None)
        is_first = model is not None and model.folder == original
        return len(batches) * (1.0 if is_first else 1 / speed)

    return Bench(
        read({"MODEL_SERVER_MAX_BATCH_ROWS": "64"}),
        stopwatch=stopwatch,
        weigh=lambda *_: 100.0,
        **settings,
    )
