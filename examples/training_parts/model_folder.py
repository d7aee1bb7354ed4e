"""A linear classifier as a model folder: model.onnx and model.yaml."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training_parts import whole_folder
from training_parts.checkpoints import Arrays
from training_parts.rows import Rows

OPSET, IR_VERSION = 20, 10
Array = np.ndarray[Any, np.dtype[np.float32]]


def unscaled(weight: Array, bias: Array, rows: Rows) -> tuple[Array, Array]:
    """The weights for rows as they are, of those for scaled rows."""
    plain = weight / rows.deviation[:, None]
    return plain, bias - rows.mean @ plain


def write(target: Path, name: str, weights: Arrays, rows: Rows) -> None:
    """Write the folder in place of the one that is there.

    weights: `weight`, FP32 [features, classes], and `bias`, FP32 [classes], for scaled
    rows.
    """
    weight, bias = unscaled(weights["weight"], weights["bias"], rows)
    content = _graph(weight, bias).SerializeToString()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    features, classes = weight.shape
    manifest = {
        "name": name,
        "version": "1",
        "revision": digest,
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, features]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probability", "datatype": "FP32", "shape": [-1, classes]},
        ],
        "digests": {"model.onnx": digest},
    }
    with whole_folder.written(target) as part:
        (part / "model.onnx").write_bytes(content)
        # JSON is YAML.
        (part / "model.yaml").write_text(json.dumps(manifest, indent=2) + "\n")


def _graph(weight: Array, bias: Array) -> onnx.ModelProto:
    features, classes = weight.shape
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["input", "weight", "bias"], ["score"]),
            helper.make_node("Softmax", ["score"], ["probability"], axis=1),
            helper.make_node("ArgMax", ["score"], ["label"], axis=1, keepdims=0),
        ],
        "linear_classifier",
        [value("input", TensorProto.FLOAT, ["rows", features])],
        [
            value("label", TensorProto.INT64, ["rows"]),
            value("probability", TensorProto.FLOAT, ["rows", classes]),
        ],
        [
            numpy_helper.from_array(weight.astype(np.float32), "weight"),
            numpy_helper.from_array(bias.astype(np.float32), "bias"),
        ],
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model
