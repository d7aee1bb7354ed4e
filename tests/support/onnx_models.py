"""Writes model folders of small graphs, each of one kind of tensor or file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ELEMENTS = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}

Entry = Mapping[str, Any]


def entry(name: str, datatype: str, shape: Sequence[int], **settings: Any) -> Entry:
    """Return a tensor as model.yaml has it."""
    return {"name": name, "datatype": datatype, "shape": list(shape), **settings}


def write_model(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Entry],
    outputs: Sequence[Entry],
    *,
    initializers: Sequence[onnx.TensorProto] = (),
    dimensions: Mapping[str, Sequence[str | None]] | None = None,
    **settings: Any,
) -> Path:
    """Write a model folder; `dimensions` has the graph's names of a tensor's sizes."""
    folder.mkdir(parents=True)

    def value(tensor: Entry) -> onnx.ValueInfoProto:
        named = (dimensions or {}).get(tensor["name"])
        sizes = [size if size > 0 else None for size in tensor["shape"]]
        return helper.make_tensor_value_info(
            tensor["name"], ELEMENTS[tensor["datatype"]], named or sizes
        )

    graph = helper.make_graph(
        list(nodes),
        folder.name,
        [value(it) for it in inputs],
        [value(it) for it in outputs],
        list(initializers),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    content = {
        "name": folder.name,
        "version": "1",
        "revision": "r1",
        "inputs": [dict(it) for it in inputs],
        "outputs": [dict(it) for it in outputs],
        **settings,
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(content))
    return folder


def write_same(
    folder: Path,
    datatype: str,
    shape: Sequence[int] = (-1, 3),
    *,
    log: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Path:
    """Write a model that gives its input `a` back as `b`, with settings of both."""
    return write_model(
        folder,
        [helper.make_node("Identity", ["a"], ["b"])],
        [entry("a", datatype, shape, **settings)],
        [
            entry(
                "b",
                datatype,
                shape,
                **{key: it for key, it in settings.items() if key != "max_shape"},
            )
        ],
        log=log or {},
    )


def external(name: str, values: NDArray[np.float32], location: str) -> onnx.TensorProto:
    """Return a tensor whose bytes lie in another file, as the graph names that."""
    tensor: onnx.TensorProto = numpy_helper.from_array(values, name)
    size = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in (("location", location), ("length", str(size))):
        item = tensor.external_data.add()
        item.key, item.value = key, text
    return tensor


def sha256(file: Path) -> str:
    """Return a file's digest as model.yaml has it."""
    return "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
