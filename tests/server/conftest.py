"""The model server on small models, one server for all tests that only ask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import GradientBoostingClassifier

from benchmarks.model_folder import made_up_rows, write_model_folder
from tests.support.model_server import ModelServer

COLUMNS = 4


@dataclass(frozen=True)
class Tiny:
    """The test model in scikit-learn's hands, and rows it was not trained on."""

    classifier: GradientBoostingClassifier
    rows: NDArray[np.float32]

    def probabilities(self) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self.classifier.predict_proba(self.rows)
        return found


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    rows, labels = made_up_rows(900, COLUMNS)
    classifier = GradientBoostingClassifier(n_estimators=20, random_state=0)
    classifier.fit(rows[:500], labels[:500])
    return Tiny(classifier, rows[500:])


@pytest.fixture(scope="session")
def models(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the one model `tiny`."""
    folder = tmp_path_factory.mktemp("models")
    write_model_folder(folder, tiny.classifier, COLUMNS)
    return folder


@pytest.fixture(scope="session")
def slow_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the one model `slow`: about 30 ms for any number of rows."""
    folder = tmp_path_factory.mktemp("slow")
    write_slow_model(folder / "slow")
    return folder


@pytest.fixture(scope="module")
def server(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelServer]:
    log = tmp_path_factory.mktemp("server") / "log"
    log.mkdir()
    with ModelServer(
        models, log, MAX_BODY_BYTES=65536, MAX_REQUEST_ROWS=300, MAX_BATCH_ROWS=64
    ) as running:
        yield running


@pytest.fixture
def log_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    folder.mkdir()
    return folder


def write_slow_model(path: Path, size: int = 1536, products: int = 6) -> None:
    """Write a model that multiplies a large matrix by itself before it answers.

    Its answer is the sum of each row's columns, so it can be checked; a row with a
    negative number gives the logarithm of it, which is not finite.
    """
    path.mkdir(parents=True)
    matrix = np.eye(size, dtype=np.float32)
    nodes = [helper.make_node("ReduceSum", ["X", "axes"], ["sum"], keepdims=1)]
    nodes.append(helper.make_node("Sqrt", ["sum"], ["root"]))
    nodes.append(helper.make_node("Mul", ["root", "root"], ["square"]))
    # The products depend on the input, or onnxruntime would fold them away.
    nodes.append(helper.make_node("ReduceMax", ["X"], ["largest"], keepdims=0))
    nodes.append(helper.make_node("Mul", ["largest", "zero"], ["nothing"]))
    nodes.append(helper.make_node("Add", ["matrix", "nothing"], ["m0"]))
    for number in range(products):
        nodes.append(
            helper.make_node("MatMul", [f"m{number}", "vectors"], [f"v{number}"])
        )
        nodes.append(
            helper.make_node("ReduceMax", [f"v{number}"], [f"x{number}"], keepdims=0)
        )
        nodes.append(helper.make_node("Mul", [f"x{number}", "zero"], [f"z{number}"]))
        nodes.append(
            helper.make_node("Add", ["matrix", f"z{number}"], [f"m{number + 1}"])
        )
    nodes.append(helper.make_node("Add", ["square", f"z{products - 1}"], ["total"]))
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, COLUMNS])],
        [helper.make_tensor_value_info("total", TensorProto.FLOAT, [None, 1])],
        [
            numpy_helper.from_array(matrix, "matrix"),
            numpy_helper.from_array(np.ones((size, 32), np.float32), "vectors"),
            numpy_helper.from_array(np.array(0.0, np.float32), "zero"),
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    weights = model.SerializeToString()
    (path / "model.onnx").write_bytes(weights)
    content = {
        "name": path.name,
        "version": "2",
        "revision": "sha256:" + hashlib.sha256(weights).hexdigest(),
        "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, COLUMNS]}],
        "outputs": [{"name": "total", "datatype": "FP32", "shape": [-1, 1]}],
    }
    (path / "model.yaml").write_text(yaml.safe_dump(content))
