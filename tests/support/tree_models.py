"""Model folders of tree ensembles, and the extension that evaluates them."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper
from skl2onnx import to_onnx

from slipway.images import tree_extension
from toolchain.errors import OperatorError

DATATYPES = {
    TensorProto.FLOAT: "FP32",
    TensorProto.INT64: "INT64",
    TensorProto.STRING: "BYTES",
}
COMPARISONS = ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ")
Attributes = dict[str, Any]


def extension_folder() -> Path:
    """The folder with the extension; the test is skipped where it cannot be made."""
    try:
        return tree_extension.folder()
    except (OperatorError, subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"the extension of the model server cannot be compiled: {error}")


@contextmanager
def extension_loaded() -> Iterator[None]:
    """Let model_server find the extension in this process, and nobody after."""
    from model_server import tree_evaluator

    folder = str(extension_folder())
    sys.path.append(folder)
    tree_evaluator.extension.cache_clear()
    try:
        yield
    finally:
        sys.path.remove(folder)
        sys.modules.pop("tree_masks", None)
        tree_evaluator.extension.cache_clear()


def export(folder: Path, estimator: Any, columns: int) -> Path:
    """Write a fitted estimator of scikit-learn as a model folder."""
    is_classifier = hasattr(estimator, "classes_")
    with warnings.catch_warnings():
        # skl2onnx gives booleans as integers, of which protobuf 6 warns only.
        warnings.simplefilter("ignore", DeprecationWarning)
        graph = to_onnx(
            estimator,
            np.zeros((1, columns), np.float32),
            options={id(estimator): {"zipmap": False}} if is_classifier else None,
            target_opset=18,
        )
    return write_graph(folder, graph, columns)


def write_graph(folder: Path, model: onnx.ModelProto, columns: int) -> Path:
    """Write a model of one input as a folder; model.yaml is as the graph has it."""
    outputs = []
    for output in model.graph.output:
        tensor = output.type.tensor_type
        sizes = [size.dim_value for size in tensor.shape.dim][1:]
        shape, datatype = [-1, *sizes], DATATYPES[tensor.elem_type]
        outputs.append({"name": output.name, "datatype": datatype, "shape": shape})
    (source,) = model.graph.input
    inputs = [{"name": source.name, "datatype": "FP32", "shape": [-1, columns]}]
    inputs[0]["missing_values"] = True
    content = {"name": folder.name, "version": "1", "revision": "r1"}
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    text = yaml.safe_dump(content | {"inputs": inputs, "outputs": outputs})
    (folder / "model.yaml").write_text(text)
    return folder


def graph_of(
    attributes: Attributes, columns: int, extra: Sequence[onnx.NodeProto] = ()
) -> onnx.ModelProto:
    """A graph of one tree ensemble; a classifier if it has classes."""
    is_classifier = any(name.startswith("class") for name in attributes)
    names = ["label", "scores"] if is_classifier else ["scores"]
    kind = "TreeEnsembleClassifier" if is_classifier else "TreeEnsembleRegressor"
    node = helper.make_node(kind, ["X"], names, domain="ai.onnx.ml", **attributes)
    labels = attributes.get("classlabels_int64s", ())
    width = len(labels) if is_classifier else attributes["n_targets"]
    outputs = [
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, width])
    ]
    if is_classifier:
        value = helper.make_tensor_value_info("label", TensorProto.INT64, [None])
        outputs.insert(0, value)
    graph = helper.make_graph(
        [node, *extra],
        "trees",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, columns])],
        outputs,
    )
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=versions)
    model.ir_version = 10
    return model


def made_up_trees(
    source: np.random.Generator,
    *,
    trees: int = 7,
    leaves: int = 12,
    columns: int = 5,
    modes: Sequence[str] = COMPARISONS,
) -> Attributes:
    """A regression of trees grown at random, with few different thresholds."""
    grown = _Growing(source, columns, modes)
    for tree in range(trees):
        grown.tree(tree, int(source.integers(1, leaves + 1)))
    return {**grown.nodes, **grown.weights, "n_targets": 1}


def as_classes(attributes: Attributes, **settings: Any) -> Attributes:
    """The same trees as a classifier of two classes, 3 and 8."""
    renamed = {
        name.replace("target_", "class_"): value
        for name, value in attributes.items()
        if name != "n_targets"
    }
    return {**renamed, "classlabels_int64s": [3, 8], **settings}


class _Growing:
    """The attributes of trees that grow by a split of one leaf after the other."""

    def __init__(
        self, source: np.random.Generator, columns: int, modes: Sequence[str]
    ) -> None:
        self._source, self._columns, self._modes = source, columns, modes
        names = ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")
        self.nodes: Attributes = {f"nodes_{name}": [] for name in names}
        self.nodes |= {"nodes_values": [], "nodes_modes": []}
        self.nodes["nodes_missing_value_tracks_true"] = []
        names = ("treeids", "nodeids", "ids", "weights")
        self.weights: Attributes = {f"target_{name}": [] for name in names}

    def tree(self, tree: int, leaves: int) -> None:
        rows: list[dict[str, Any]] = [self._leaf(tree, 0)]
        for _ in range(leaves - 1):
            left = [row for row in rows if row["modes"] == "LEAF"]
            chosen = left[int(self._source.integers(len(left)))]
            rows += [self._leaf(tree, len(rows)), self._leaf(tree, len(rows) + 1)]
            chosen |= self._branch(len(rows) - 2)
        for row in rows:
            for name, value in row.items():
                self.nodes[f"nodes_{name}"].append(value)
            if row["modes"] == "LEAF":
                weight = float(np.float32(self._source.normal()))
                values: Mapping[str, Any] = {
                    "treeids": tree,
                    "nodeids": row["nodeids"],
                    "ids": 0,
                    "weights": weight,
                }
                for name, value in values.items():
                    self.weights[f"target_{name}"].append(value)

    def _leaf(self, tree: int, node: int) -> dict[str, Any]:
        zeros = ("featureids", "truenodeids", "falsenodeids")
        return {
            "treeids": tree,
            "nodeids": node,
            **dict.fromkeys(zeros, 0),
            "values": 0.0,
            "modes": "LEAF",
            "missing_value_tracks_true": 0,
        }

    def _branch(self, on_true: int) -> dict[str, Any]:
        thresholds = (-1.5, -0.0, 0.0, 0.1, 1.0, 3.0, 1e-45, 3e38)
        return {
            "featureids": int(self._source.integers(self._columns)),
            "truenodeids": on_true,
            "falsenodeids": on_true + 1,
            "values": float(self._source.choice(thresholds)),
            "modes": f"BRANCH_{self._source.choice(self._modes)}",
            "missing_value_tracks_true": int(self._source.integers(2)),
        }
