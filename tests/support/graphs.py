"""Writes model folders of small ONNX graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from onnx import NodeProto, TensorProto, helper, numpy_helper

ELEMENTS = {
    "BOOL": TensorProto.BOOL,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
}
Declared = tuple[str, str, Sequence[int]]
"""Name, datatype, and the shape of a row."""


def write_graph(
    folder: Path,
    nodes: Sequence[NodeProto],
    inputs: Sequence[Declared],
    outputs: Sequence[Declared],
    constants: Mapping[str, Any] | None = None,
    *,
    batch: int | None = None,
    **settings: Any,
) -> Path:
    """Write `folder` with model.onnx and model.yaml; return it.

    `batch` is the first size that the graph declares for its outputs, `settings` are
    further keys of model.yaml.
    """
    folder.mkdir(parents=True)
    graph = helper.make_graph(
        list(nodes),
        folder.name,
        [_info(name, kind, None, row) for name, kind, row in inputs],
        [_info(name, kind, batch, row) for name, kind, row in outputs],
        [
            numpy_helper.from_array(np.asarray(value), name)
            for name, value in (constants or {}).items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    content = {
        "name": folder.name,
        "version": "1",
        "revision": f"r-{folder.name}",
        "inputs": [_tensor(*declared) for declared in inputs],
        "outputs": [_tensor(*declared) for declared in outputs],
        **settings,
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(content))
    return folder


def _info(name: str, kind: str, batch: int | None, row: Sequence[int]) -> Any:
    return helper.make_tensor_value_info(name, ELEMENTS[kind], [batch, *row])


def _tensor(name: str, kind: str, row: Sequence[int]) -> dict[str, Any]:
    return {"name": name, "datatype": kind, "shape": [-1, *row]}
