"""The model folder: what the serving image is given, and nothing else.

`model.onnx`, `model.yaml` (what a server and an auditor need to know),
`reference.json`, and `examples.json`: rows and scikit-learn's answers, with which a
server compares its own before it is ready. The same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import yaml

from models.employment.training.classifier import Metrics
from models.employment.training.config import (
    FILE,
    Configuration,
    code_digest,
    digest,
    libraries,
)
from models.employment.training.onnx_export import INPUT, LABEL, PROBABILITY, TOLERANCE

SKLEARN = "sklearn.joblib"
"""The fitted scikit-learn model, beside the model folder and not in the image: a
pickle runs code when read, so a server never sees it. Tests compare with it."""
EXAMPLES = 20


def describe(
    config: Configuration, onnx: bytes, metrics: dict[int, Metrics]
) -> dict[str, Any]:
    """The content of model.yaml."""
    digests = {
        "code": code_digest(),
        "configuration": digest(FILE.read_bytes()),
        "data": f"sha256:{config.data.sha256}",
        "weights": f"sha256:{hashlib.sha256(onnx).hexdigest()}",
    }
    return {
        "name": config.name,
        "version": config.version,
        "revision": digest(*(value.encode() for value in digests.values())),
        "description": config.description,
        "inputs": [
            {"name": INPUT, "datatype": "FP32", "shape": [-1, len(config.features)]}
        ],
        "outputs": [
            {"name": LABEL, "datatype": "INT64", "shape": [-1]},
            {"name": PROBABILITY, "datatype": "FP32", "shape": [-1, 2]},
        ],
        "features": config.names,
        "feature_details": [asdict(feature) for feature in config.features],
        "log": {
            "keep": [it.name for it in config.features if not it.protected],
            "protected": [it.name for it in config.features if it.protected],
        },
        "classes": {0: "not employed", 1: "employed"},
        # A server checks files by their name; the weights are one file.
        "digests": digests | {"model.onnx": digests["weights"]},
        "libraries": libraries(),
        "trained_on": f"{config.data.distribution} {config.data.version}, employment "
        f"in Massachusetts, {config.data.training_year}",
        "metrics": {year: found.rounded() for year, found in metrics.items()},
        "licence": config.data.licence,
    }


def examples(model: Any, features: npt.NDArray[np.float32]) -> dict[str, Any]:
    """The content of examples.json: EXAMPLES of the rows, spread evenly over them."""
    last = len(features) - 1
    rows = features[np.linspace(0, last, EXAMPLES).astype(np.int64)]
    return {
        "tolerance": TOLERANCE,
        "inputs": {INPUT: rows.tolist()},
        "outputs": {
            LABEL: model.predict(rows).tolist(),
            PROBABILITY: model.predict_proba(rows).tolist(),
        },
    }


def write(
    folder: Path,
    onnx: bytes,
    card: dict[str, Any],
    reference: dict[str, Any],
    examples: dict[str, Any],
) -> None:
    """Writes the model folder anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(onnx)
    (folder / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
    reference = {"model": card["name"], "revision": card["revision"], **reference}
    (folder / "reference.json").write_text(json.dumps(reference, indent=1) + "\n")
    (folder / "examples.json").write_text(json.dumps(examples) + "\n")


def sklearn_path(folder: Path) -> Path:
    """Where the scikit-learn model of a model folder lies."""
    return folder.with_name(f"{folder.name}.{SKLEARN}")


def keep_sklearn(folder: Path, model: Any) -> None:
    joblib.dump(model, sklearn_path(folder))
