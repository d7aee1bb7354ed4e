"""SavedModels: one signature, run by TensorFlow.

TensorFlow takes seconds to import and hundreds of MiB, so it is imported with the first
SavedModel. Only one image has it (images/model_server_tensorflow).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model_server.buffers import Buffer, as_array
from model_server.datatypes import BFLOAT16, DATATYPES, TEXT
from model_server.declared import Found, check_tensors
from model_server.formats import FORMATS, SAVED_MODEL
from model_server.manifest import Manifest, ModelError
from model_server.model_files import check_saved_model_files
from model_server.outputs import Array
from model_server.runner import RefusedValuesError, Run
from model_server.tensor import Tensor

SERVE = "serve"
"""Tag of the graph that is for serving; TensorFlow Serving takes no other."""
_PYTHON = "calls Python of the program that exported it, which is not here"
_FILES = "reads or writes files whose names a request may choose"
UNFIT = {
    "EagerPyFunc": _PYTHON,
    "PyFunc": _PYTHON,
    "PyFuncStateless": _PYTHON,
    "MatchingFiles": _FILES,
    "ReadFile": _FILES,
    "WriteFile": _FILES,
}
"""Operations that are refused, and why; they export without a word.
https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md"""
_TYPES = {name.lower(): name for name in DATATYPES} | {
    "string": TEXT,
    "float16": "FP16",
    "bfloat16": BFLOAT16,
    "float32": "FP32",
    "float64": "FP64",
}
"""The protocol's datatypes by TensorFlow's."""


def load_saved_model(folder: Path, manifest: Manifest, threads: int) -> Run:
    """Load a SavedModel; return what runs its signature once.

    Raises `ModelError` with what is wrong with its files, its tensors or its graph.
    """
    check_saved_model_files(folder, manifest.digests)
    tensorflow = import_tensorflow(folder)
    _set_threads(tensorflow, threads)
    if problems := list(_unfit(folder, manifest.signature)):
        raise ModelError(problems)
    loaded, function = open_signature(tensorflow, folder, manifest.signature)
    inputs, outputs = tensors_of(function)
    check_tensors(folder, manifest, inputs, outputs, "the signature")
    return _runner(tensorflow, manifest, loaded, function)


def import_tensorflow(folder: Path) -> Any:
    """Return the module; raise `ModelError` where it is not installed."""
    try:
        return importlib.import_module("tensorflow")
    except ImportError as error:
        problem = (
            f"{folder}: a model of the format {SAVED_MODEL} needs TensorFlow, which is "
            f"not here ({error}); use the image model-server-tensorflow, or convert "
            "the model to ONNX"
        )
        raise ModelError([problem]) from error


def open_signature(tensorflow: Any, folder: Path, name: str) -> tuple[Any, Any]:
    """Return what was loaded and its signature of a name, or raise `ModelError`.

    The first must be kept: a signature alone does not hold the model's variables.
    """
    try:
        loaded = tensorflow.saved_model.load(str(folder), tags=[SERVE])
    except Exception as error:  # TensorFlow's errors share no base but this
        problem = f"{folder}: TensorFlow refuses it: {reason(error)}"
        raise ModelError([problem]) from error
    function = loaded.signatures.get(name)
    if function is None:
        known = ", ".join(sorted(loaded.signatures)) or "no signature at all"
        problem = (
            f"{folder}: the SavedModel has no signature {name}; it has {known}: name "
            "one under signature in model.yaml, or export it with one"
        )
        raise ModelError([problem])
    return loaded, function


def tensors_of(function: Any) -> tuple[list[Found], list[Found]]:
    """Return a signature's inputs and outputs, by their names."""
    inputs = function.structured_input_signature[1]
    return _found(inputs), _found(function.structured_outputs)


def _found(specs: Mapping[str, Any]) -> list[Found]:
    return [
        Found(
            name,
            _TYPES.get(spec.dtype.name, ""),
            f"TensorFlow's {spec.dtype.name}",
            None if spec.shape.rank is None else spec.shape.as_list(),
        )
        for name, spec in sorted(specs.items())
    ]


def _set_threads(tensorflow: Any, threads: int) -> None:
    # Once a graph has run, the numbers may only be set to what they are.
    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)


def _unfit(folder: Path, signature: str) -> Iterator[str]:
    """Return a problem for each kind of operation that cannot or may not be run.

    A SavedModel also has functions of the exported object that no signature uses.
    """
    messages = importlib.import_module("tensorflow.core.protobuf.saved_model_pb2")
    file = folder / FORMATS[SAVED_MODEL].file
    message = messages.SavedModel()
    try:
        message.ParseFromString(file.read_bytes())
    except Exception as error:  # noqa: BLE001, protobuf's own class differs by build
        yield f"{file}: not a complete SavedModel: {error}"
        return
    used: set[str] = set()
    for graph in message.meta_graphs:
        if SERVE in graph.meta_info_def.tags and signature in graph.signature_def:
            used |= _operations(graph, signature)
    for name in sorted(used & set(UNFIT)):
        yield (
            f"{folder}: the signature {signature} uses the operation {name}, which "
            f"{UNFIT[name]}; export the model without it"
        )


def _operations(graph: Any, signature: str) -> set[str]:
    """Return the operations that a signature of a MetaGraphDef needs."""
    nodes = {node.name: node for node in graph.graph_def.node}
    functions = {it.signature.name: it for it in graph.graph_def.library.function}
    outputs = graph.signature_def[signature].outputs.values()
    waiting = {output.name.partition(":")[0] for output in outputs}
    needed = []
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        reached.add(name)
        needed.append(nodes[name])
        # An input is `name`, `name:1` or `^name`.
        names = {it.removeprefix("^").partition(":")[0] for it in nodes[name].input}
        waiting |= names - reached
    used: set[str] = set()
    called: set[str] = set()
    while needed:
        node = needed.pop()
        used.add(node.op)
        for name in _called(node) & functions.keys() - called:
            called.add(name)
            needed += functions[name].node_def
    return used


def _called(node: Any) -> set[str]:
    """Return the names of functions that a node may call."""
    values = list(node.attr.values())
    listed = [it for value in values for it in value.list.func]
    return {node.op, *(it.name for it in (*(v.func for v in values), *listed))}


def _runner(tensorflow: Any, manifest: Manifest, loaded: Any, function: Any) -> Run:
    constant = tensorflow.constant
    refused = tensorflow.errors.InvalidArgumentError
    bfloat16 = tensorflow.bfloat16.as_numpy_dtype

    def run(buffers: Sequence[Buffer], _kept: Any = loaded) -> list[Array]:
        feed = {}
        for tensor, buffer in zip(manifest.inputs, buffers, strict=True):
            array = as_array(tensor, buffer)
            if tensor.datatype == BFLOAT16:
                array = np.ascontiguousarray(array).view(bfloat16)
            feed[tensor.name] = constant(array)
        try:
            found = function(**feed)
        except refused as error:
            raise RefusedValuesError(reason(error)) from error
        return [_array(tensor, found[tensor.name]) for tensor in manifest.outputs]

    return run


def _array(tensor: Tensor, value: Any) -> Array:
    array: Array = np.asarray(value.numpy())
    if tensor.datatype == BFLOAT16:
        return array.astype(np.float32)
    if tensor.datatype != TEXT:
        return array
    texts = np.empty(array.size, object)
    texts[:] = [text.decode() for text in array.ravel().tolist()]
    return texts.reshape(array.shape)


_PLACES = ("[[", "Graph execution error", "Detected at node", "File ", "Stack trace")
"""Prefixes of lines that name a place in the graph and no reason."""


def reason(error: Exception) -> str:
    """Return what TensorFlow says in one line, without where in its graph."""
    lines = str(getattr(error, "message", "") or error).splitlines()
    texts = [line.strip() for line in lines if line.strip()]
    words = [line for line in texts if not line.startswith(_PLACES)] or texts
    return words[-1] if words else type(error).__name__
