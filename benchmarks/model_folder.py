"""Writes a model folder of a small model trained on made-up rows."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.base import ClassifierMixin


def write_model_folder(
    folder: Path,
    classifier: ClassifierMixin,
    columns: int,
    *,
    name: str = "tiny",
    version: str = "1",
) -> Path:
    """Write `folder/name` as the server's README describes it; return its path.

    The classifier is a fitted binary one of `columns` float columns.
    """
    path = folder / name
    path.mkdir(parents=True)
    graph = to_onnx(
        classifier,
        np.zeros((1, columns), np.float32),
        options={id(classifier): {"zipmap": False}},
        target_opset=18,
    )
    outputs = {output.name: output for output in graph.graph.output}
    weights = graph.SerializeToString()
    digest = "sha256:" + hashlib.sha256(weights).hexdigest()
    (path / "model.onnx").write_bytes(weights)
    label, probability = outputs
    features = [f"f{i}" for i in range(columns)]
    content = {
        "name": name,
        "version": version,
        "revision": digest,
        "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, columns]}],
        "outputs": [
            {"name": label, "datatype": "INT64", "shape": [-1]},
            {"name": probability, "datatype": "FP32", "shape": [-1, 2]},
        ],
        "features": features,
        "log": {"keep": features},
        "prediction": {"decision": label, "score": probability},
        "digests": {"model.onnx": digest},
    }
    (path / "model.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def made_up_rows(
    rows: int, columns: int, seed: int = 7
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return rows of floats and a 0/1 label that depends on them."""
    source = np.random.default_rng(seed)
    values = source.normal(size=(rows, columns)).astype(np.float32)
    labels = (values[:, 0] * values[:, 1] + values[:, 2] > 0).astype(np.int64)
    return values, labels
