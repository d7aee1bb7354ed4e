"""Model folders: trained by a `training` package below models/, then cached."""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.images.errors import ImageError
from toolchain import paths, whole_files
from toolchain.locks import locked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LIBRARIES = (
    *("duckdb", "numpy", "onnx", "onnxruntime", "protobuf", "scikit-learn"),
    "skl2onnx",
)
SKLEARN_SUFFIX = ".sklearn.joblib"
TEST_YEAR = 2018


def _source(name: str) -> Path:
    return paths.ROOT / "models" / name.replace("-", "_")


def _package(name: str) -> str:
    """The name of the package that trains the model, from the repository's root."""
    return f"models.{name.replace('-', '_')}.training"


def downloads() -> Path:
    """Return the folder of training data; each file's digest is checked on reading."""
    return paths.cache() / "data"


def key(name: str) -> str:
    """Digest of what decides a model: its training code, settings and libraries."""
    source = _source(name)
    digest = hashlib.sha256()
    for path in [*sorted(source.glob("training/**/*.py")), source / "training.toml"]:
        digest.update(f"{path.relative_to(source)}\0".encode() + path.read_bytes())
    for library in LIBRARIES:
        digest.update(f"\0{library}=={version(library)}".encode())
    return digest.hexdigest()[:16]


def model_folder(name: str) -> Path:
    """The folder of a model: its graph, description, statistics and examples.

    Trained at the first call (the lines of the training are in `training.log` beside
    it), then kept. Raises ImageError with the training's last lines.
    """
    root = paths.cache() / "models" / name
    folder = root / key(name)
    if _is_whole(folder):
        return folder
    with locked(root / "lock"):
        if _is_whole(folder):
            return folder
        with whole_files.made(folder) as part:
            _train(name, part, root / f"{folder.name}.log")
            _sklearn(part).replace(_sklearn(folder))
    return folder


def _train(name: str, folder: Path, log: Path) -> None:
    with log.open("w") as lines:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", _package(name)]
            + ["--data", str(downloads()), "--out", str(folder)],
            cwd=paths.ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": ""},
            stdout=lines,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        said = log.read_text().splitlines()[-15:]
        raise ImageError(f"training of {name} failed ({log}):\n" + "\n".join(said))


def training_log(name: str) -> str:
    """Return the training's output: its steps and a table of metrics by year."""
    folder = model_folder(name)
    return folder.with_name(f"{folder.name}.log").read_text()


def _sklearn(folder: Path) -> Path:
    return folder.with_name(folder.name + SKLEARN_SUFFIX)


def _is_whole(folder: Path) -> bool:
    return folder.is_dir() and _sklearn(folder).is_file()


def real_rows(
    name: str, count: int, year: int = TEST_YEAR
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Real rows [count, features] and scikit-learn's probabilities [count, 2] of them.

    The same rows every time, spread evenly over the year, of which the training saw
    nothing.
    """
    folder = model_folder(name)
    training = _training(name)
    rows = training.rows(count, year, downloads()).features
    expected: NDArray[np.float64] = training.fitted_model(folder).predict_proba(rows)
    return rows, expected


def _training(name: str) -> Any:
    return importlib.import_module(_package(name))
