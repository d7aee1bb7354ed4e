"""One model: its manifest, its ONNX session, its runs."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import numpy as np
import onnxruntime

from model_server.datatypes import BY_ONNX_TYPE, DATATYPES, STRING_ONNX_TYPE
from model_server.manifest import Manifest, ModelError, Tensor, read_manifest
from model_server.outputs import Array
from model_server.run_time import RunTime

RUNTIME = "onnxruntime"
WARM_UP_RUNS = 3
REPEATED_SECONDS = 0.1
"""A run longer than this is measured once, or warming up would take minutes."""


class Model:
    """A loaded model. `run` takes packed rows and gives one array per output."""

    def __init__(
        self, manifest: Manifest, session: onnxruntime.InferenceSession
    ) -> None:
        self.manifest = manifest
        self.session = session
        self._names = [tensor.name for tensor in manifest.outputs]
        self._inputs = [
            (tensor.name, DATATYPES[tensor.datatype].dtype, tensor.shape)
            for tensor in manifest.inputs
        ]

    def run(self, buffers: list[bytes]) -> list[Array]:
        """Run the model once: one buffer of row-major values for each input."""
        feed = {
            name: np.frombuffer(buffer, dtype).reshape(shape)
            for (name, dtype, shape), buffer in zip(self._inputs, buffers, strict=True)
        }
        results: list[Array] = self.session.run(self._names, feed)
        return results

    def warm_up(self, largest: int) -> RunTime:
        """Run batches of 1, 2, 4 ... rows and the largest; check what comes out.

        The first run of a size makes what the next ones of about that size use again,
        so no request has to pay for it.
        """
        seconds: dict[int, float] = {}
        for rows in [*_powers_of_two(largest), largest]:
            buffers = [
                bytes(rows * dtype.itemsize * _width(shape))
                for _, dtype, shape in self._inputs
            ]
            self._check(self.run(buffers), rows)
            seconds[rows] = self._time(buffers)
            if seconds[rows] < REPEATED_SECONDS:
                again = [self._time(buffers) for _ in range(WARM_UP_RUNS - 1)]
                seconds[rows] = min(seconds[rows], *again)
        return RunTime(seconds)

    def _time(self, buffers: list[bytes]) -> float:
        started = time.perf_counter()
        self.run(buffers)
        return time.perf_counter() - started

    def _check(self, results: list[Array], rows: int) -> None:
        problems = [
            f"{self.manifest.name}: output {tensor.name}: a run of {rows} rows gave "
            f"the shape {list(result.shape)}, model.yaml says {list(tensor.shape)}"
            for tensor, result in zip(self.manifest.outputs, results, strict=True)
            if result.shape != (rows, *tensor.shape[1:])
        ]
        if problems:
            raise ModelError(problems)


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
    file = folder / "model.onnx"
    try:
        weights = file.read_bytes()
    except OSError as error:
        raise ModelError([f"{file}: {error.strerror}"]) from error
    digest = "sha256:" + hashlib.sha256(weights).hexdigest()
    if manifest.weights_digest.removeprefix("sha256:") not in {"", digest[7:]}:
        raise ModelError(
            [f"{file}: its digest is {digest}, model.yaml says another; copy it again"]
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A spinning pool would burn the CPU share that the event loop lives on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            weights, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors share no base but this
        raise ModelError([f"{file}: onnxruntime refuses it: {error}"]) from error
    problems = _differences(
        "input", manifest.inputs, session.get_inputs()
    ) + _differences("output", manifest.outputs, session.get_outputs())
    if problems:
        raise ModelError([f"{folder}: {problem}" for problem in problems])
    return Model(manifest, session)


def _differences(
    kind: str, declared: tuple[Tensor, ...], nodes: list[onnxruntime.NodeArg]
) -> list[str]:
    """Return how the tensors of model.yaml differ from the graph's."""
    found = []
    graph = {node.name: node for node in nodes}
    names = [tensor.name for tensor in declared]
    if kind == "input" and set(names) != set(graph):
        found.append(
            f"model.yaml names the inputs {', '.join(names)}, the graph "
            f"{', '.join(graph)}"
        )
    for tensor in declared:
        node = graph.get(tensor.name)
        if node is None:
            if kind == "output":
                found.append(f"output {tensor.name}: the graph has {', '.join(graph)}")
            continue
        datatype = _protocol_name(node.type)
        if datatype != tensor.datatype:
            found.append(
                f"{kind} {tensor.name}: model.yaml says {tensor.datatype}, the graph "
                f"{datatype or node.type + ' (export without a zipmap)'}"
            )
        if not _shapes_agree(tensor.shape, node.shape):
            found.append(
                f"{kind} {tensor.name}: model.yaml says the shape "
                f"{list(tensor.shape)}, the graph {node.shape}"
            )
    return found


def _protocol_name(onnx_type: str) -> str:
    if onnx_type == STRING_ONNX_TYPE:
        return "BYTES"
    datatype = BY_ONNX_TYPE.get(onnx_type)
    return datatype.name if datatype else ""


def _shapes_agree(declared: tuple[int, ...], graph: list[int | str | None]) -> bool:
    """Tell whether shapes agree; the graph has names or None where it is dynamic."""
    return len(declared) == len(graph) and all(
        not isinstance(given, int) or given <= 0 or given == size
        for size, given in zip(declared, graph, strict=True)
    )


def _powers_of_two(below: int) -> list[int]:
    return [1 << power for power in range((below - 1).bit_length())]


def _width(shape: tuple[int, ...]) -> int:
    width = 1
    for size in shape[1:]:
        width *= size
    return width
