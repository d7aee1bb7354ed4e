"""Tree ensembles evaluated by tree_masks.c in place of onnxruntime, where it can.

The extension is optional: images have it, a checkout has not. Whatever it cannot hold,
or answers otherwise than onnxruntime on any row of the comparison at start, is left to
onnxruntime.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from model_server.buffers import Buffer
from model_server.model import Model
from model_server.model_files import GRAPH
from model_server.named_rows import Row
from model_server.outputs import Array
from model_server.runner import Run
from model_server.tensor import Tensor
from model_server.tree_check import compare
from model_server.tree_ensemble import read_trees
from model_server.tree_graph import NotTreesError, read_tree_node
from model_server.tree_outputs import read_weights
from model_server.tree_tables import Tables, make_tables

NAME = "tree_masks"

Forest = Callable[..., Any]
_LABEL, _SCORES = 0, 1

logger = logging.getLogger("model_server")


@cache
def extension() -> Forest | None:
    """Return what holds the tables; None, and a line of the log, if it is not here."""
    try:
        import tree_masks
    except ImportError as error:
        logger.info(
            "tree ensembles are evaluated by onnxruntime: the extension cannot be "
            "loaded: %s",
            error,
        )
        return None
    return tree_masks.Forest


def evaluate_trees(model: Model, rows: Sequence[Row]) -> str:
    """Let the extension evaluate a model if it can; else return why not.

    `rows` are of the model folder: the answers to them are compared too.
    """
    forest = extension()
    if forest is None:
        return "the extension cannot be loaded"
    try:
        tables, run = _evaluator(model, forest)
        given = [bytes(row[0]) for row in rows]
        compare(run, model.run, given, tables.columns, tables.thresholds_of())
    except (NotTreesError, ValueError) as error:  # the latter of the extension
        return str(error)
    model.evaluate_by(NAME, run)
    return ""


def _evaluator(model: Model, forest: Forest) -> tuple[Tables, Run]:
    manifest = model.manifest
    if len(manifest.inputs) != 1 or not _is_a_table(manifest.inputs[0]):
        raise NotTreesError("the input is not an FP32 table of one width")
    (source,) = manifest.inputs
    node = read_tree_node(model.folder / GRAPH, source.name)
    trees = read_trees(node.attributes, source.width)
    weights = read_weights(node, trees)
    tables = make_tables(trees, weights, source.width)
    missing = [it.name for it in manifest.outputs if it.name not in node.outputs]
    if missing:
        raise NotTreesError(f"the trees do not give the output {missing[0]}")
    made = forest(**tables.arguments())
    classes, row_bytes = len(weights.labels), 4 * source.width
    if classes:
        run = _classifier(made, classes, row_bytes)
    else:
        run = _regressor(made, tables.targets, row_bytes)
    places = [node.outputs[it.name] for it in manifest.outputs]
    every = [_LABEL, _SCORES] if classes else [0]
    if weights.texts or places != every:
        run = _arranged(run, places, weights.texts)
    return tables, run


def _is_a_table(tensor: Tensor) -> bool:
    is_flat = len(tensor.shape) == 2 and tensor.is_fixed
    return is_flat and tensor.datatype == "FP32" and tensor.width > 0


def _classifier(forest: Any, classes: int, row_bytes: int) -> Run:
    # Each name of a module and each attribute costs a twentieth of one row's time.
    evaluate, empty = forest.run, np.empty
    whole, single = np.dtype(np.int64), np.dtype(np.float32)

    def run(buffers: Sequence[Buffer]) -> list[Array]:
        rows = buffers[0]
        count = len(rows) // row_bytes
        labels, scores = empty(count, whole), empty((count, classes), single)
        evaluate(rows, labels, scores)
        return [labels, scores]

    return run


def _regressor(forest: Any, targets: int, row_bytes: int) -> Run:
    evaluate, empty, single = forest.run, np.empty, np.dtype(np.float32)

    def run(buffers: Sequence[Buffer]) -> list[Array]:
        rows = buffers[0]
        scores = empty((len(rows) // row_bytes, targets), single)
        evaluate(rows, None, scores)
        return [scores]

    return run


def _arranged(run: Run, places: Sequence[int], texts: Sequence[str]) -> Run:
    """Return what gives the outputs of `run` at places, labels as texts if they are."""
    names = np.array(texts, object)

    def arranged(buffers: Sequence[Buffer]) -> list[Array]:
        labels, *scores = run(buffers)
        outputs = [names[labels] if texts else labels, *scores]
        return [outputs[place] for place in places]

    return arranged
