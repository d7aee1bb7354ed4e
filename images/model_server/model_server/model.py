"""One model: its manifest, what evaluates it, its runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from model_server.buffers import Buffer
from model_server.datatypes import BY_ONNX_TYPE
from model_server.declared import Found, check_tensors
from model_server.formats import FORMATS, SAVED_MODEL
from model_server.manifest import Manifest, ModelError, read_manifest
from model_server.model_files import GRAPH, check_files
from model_server.outputs import Array
from model_server.runner import RefusedValuesError, Run, runner
from model_server.saved_model import load_saved_model
from model_server.tensor import FREE, Tensor


class Model:
    """A loaded model. `run` takes packed rows and gives one array per output.

    `folder` is where it lies, `evaluator` the name of what computes its answers.
    """

    def __init__(self, manifest: Manifest, run: Run, folder: Path) -> None:
        self.manifest = manifest
        self.folder = folder
        self._run = run
        self.evaluator = FORMATS[manifest.format].runtime

    def run(self, buffers: Sequence[Buffer]) -> list[Array]:
        """Run the model once: one buffer of row-major values for each input.

        Raises `RefusedValuesError` where the values are at fault, and not the model.
        """
        try:
            return self._run(buffers)
        except InvalidArgument as error:
            raise RefusedValuesError(_reason(error)) from error

    def evaluate_by(self, evaluator: str, run: Run) -> None:
        """Let `run` compute the answers from now on."""
        self.evaluator, self._run = evaluator, run


def find_models(folder: Path) -> list[Path]:
    """Return the model folders in a folder: those with a model.yaml, by name."""
    return sorted(file.parent for file in folder.glob("*/model.yaml"))


def load_models(folder: Path, threads: int) -> list[Model]:
    """Load every model of a folder; raise `ModelError` with every problem found.

    A model may stand there in several versions, each with a revision of its own.
    """
    problems: list[str] = []
    models: list[Model] = []
    folders = find_models(folder)
    if not folders:
        raise ModelError([f"{folder}: holds no folder with a model.yaml"])
    seen: set[tuple[str, str, str]] = set()
    for path in folders:
        try:
            model = load_model(path, threads)
        except ModelError as error:
            problems += error.problems
            continue
        manifest = model.manifest
        for key, value in (
            ("version", manifest.version),
            ("revision", manifest.revision),
        ):
            if (manifest.name, key, value) in seen:
                problems.append(
                    f"{path}: the {key} {value} of {manifest.name} stands in another "
                    "folder too"
                )
            seen.add((manifest.name, key, value))
        models.append(model)
    if problems:
        raise ModelError(problems)
    return models


def load_model(folder: Path, threads: int) -> Model:
    """Load one model folder; raise `ModelError` with every problem found."""
    manifest = read_manifest(folder / "model.yaml")
    if manifest.format == SAVED_MODEL:
        run = load_saved_model(folder, manifest, threads)
        return Model(manifest, run, folder)
    return _load_onnx(folder, manifest, threads)


def _load_onnx(folder: Path, manifest: Manifest, threads: int) -> Model:
    unreadable = ""
    try:
        check_files(folder, manifest.digests)
    except ValueError as error:
        unreadable = str(error)  # onnxruntime can tell better what is wrong
    session = _session(folder / GRAPH, threads)
    if unreadable:
        raise ModelError([f"{folder / GRAPH}: is not a whole ONNX graph: {unreadable}"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    check_tensors(folder, manifest, _found(inputs), _found(outputs), "the graph")
    named = _with_dimensions(manifest.inputs, inputs)
    manifest = replace(manifest, inputs=named)
    return Model(manifest, runner(manifest, session), folder)


def _session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    """Open a graph by its path: its bytes are never held beside the session's own."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A spinning pool would burn the CPU share that the event loop lives on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            file, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors share no base but this
        raise ModelError([f"{file}: onnxruntime refuses it: {error}"]) from error


def _found(nodes: list[onnxruntime.NodeArg]) -> list[Found]:
    return [
        Found(
            node.name,
            _protocol_name(node.type),
            f"{node.type} (export without a zipmap)",
            node.shape,
        )
        for node in nodes
    ]


def _protocol_name(onnx_type: str) -> str:
    datatype = BY_ONNX_TYPE.get(onnx_type)
    return datatype.name if datatype else ""


def _reason(error: Exception) -> str:
    """Return what onnxruntime says, without its codes and the node's name."""
    text = str(error).rpartition("Status Message: ")[2]
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text).strip()


def _with_dimensions(
    tensors: tuple[Tensor, ...], nodes: list[onnxruntime.NodeArg]
) -> tuple[Tensor, ...]:
    """Return the tensors with the graph's names of their free dimensions."""
    shapes = {node.name: node.shape for node in nodes}
    return tuple(
        replace(
            tensor,
            dimensions=tuple(
                name if size == FREE and isinstance(name, str) else ""
                for size, name in zip(tensor.shape, shapes[tensor.name], strict=True)
            ),
        )
        if tensor.is_free
        else tensor
        for tensor in tensors
    )
