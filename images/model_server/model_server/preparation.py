"""Prepares loaded models for requests: warm-up, examination, comparison.

The behaviour of a model's runs determines whether and how it is served. A rejected
model does not stop the others; a contradictory folder does.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_server.examples import read_examples, score
from model_server.formats import ONNX
from model_server.independence import examine
from model_server.manifest import Manifest, ModelError, ModelFolderError
from model_server.model import Model
from model_server.named_rows import Row, read_rows
from model_server.run_time import RunTime
from model_server.tree_evaluator import evaluate_trees
from model_server.warm_up import warm_up, zero_row

logger = logging.getLogger("model_server")


@dataclass(frozen=True)
class Prepared:
    """A model that may be served: how long its runs take and how it is run."""

    model: Model
    run_time: RunTime
    runs_apart: bool
    """Whether each request runs separately and whole."""
    examples: int
    """Number of the original model's results that it was compared with."""
    doubt: str
    """Why the examination could not decide whether rows may share a run, if so."""
    not_trees: str = ""
    """Why onnxruntime computes the answers and not tree_masks, if so."""


@dataclass(frozen=True)
class Refusal:
    """A model's version that is not served, and why."""

    manifest: Manifest
    problems: list[str]


def prepare(
    model: Model,
    *,
    max_batch_rows: int,
    max_request_rows: int,
    evaluator: str = "auto",
) -> Prepared:
    """Choose a model's evaluator, warm it up, examine its rows, compare its examples.

    Raises `ModelError` if it cannot be served, and `ModelFolderError` if its folder is
    wrong or the answers are others than its examples'.
    """
    manifest = model.manifest
    where = f"{model.folder / 'model.yaml'}: warm_up"
    given = read_rows(manifest, manifest.warm_up, where) if manifest.warm_up else []
    examples = read_examples(model.folder, manifest)
    known = [*given, *(examples.rows if examples else [])]
    not_trees = f"MODEL_SERVER_EVALUATOR is {evaluator}"
    if manifest.format != ONNX:
        not_trees = f"the format is {manifest.format}"
    elif evaluator == "auto":
        not_trees = evaluate_trees(model, known)
    rows: Sequence[Row] = [zero_row(model)]
    what = "zeros"
    if given:
        rows, what = given, "warm_up"
    elif examples:
        rows, what = examples.rows, "examples.json"
    runs_apart = manifest.rows_are_dependent
    largest = max_request_rows if runs_apart else max_batch_rows
    run_time = warm_up(model, rows, what, largest)
    doubt = ""
    if not runs_apart:
        finding = examine(model, known, max_batch_rows)
        if finding.problems:
            raise ModelError(finding.problems)
        doubt = finding.doubt
        if doubt:
            runs_apart, largest = True, max_request_rows
            run_time = warm_up(model, rows, what, largest)
    if examples:
        whole = max(largest, len(examples.rows)) if runs_apart else largest
        score(model, examples, whole)
    count = len(examples.rows) if examples else 0
    return Prepared(model, run_time, runs_apart, count, doubt, not_trees)


def prepare_all(
    models: Sequence[Model],
    defaults: Mapping[str, Manifest],
    *,
    max_batch_rows: int,
    max_request_rows: int,
    evaluator: str = "auto",
) -> tuple[list[Prepared], list[Refusal]]:
    """Prepare every model; return those that may be served, and those refused.

    A model is refused in all versions if that is which answers where none is named,
    rather than let another version answer unasked. Raises `ModelError` with every
    problem if a folder is wrong or nothing is left.
    """
    prepared: list[Prepared] = []
    refused: list[Refusal] = []
    wrong: list[str] = []
    for model in models:
        try:
            prepared.append(
                prepare(
                    model,
                    max_batch_rows=max_batch_rows,
                    max_request_rows=max_request_rows,
                    evaluator=evaluator,
                )
            )
        except ModelFolderError as error:
            wrong += error.problems
        except ModelError as error:
            refused.append(Refusal(model.manifest, error.problems))
    gone = {
        it.manifest.name for it in refused if defaults[it.manifest.name] is it.manifest
    }
    left = [it for it in prepared if it.model.manifest.name not in gone]
    if wrong or not left:
        raise ModelError([*wrong, *(text for it in refused for text in it.problems)])
    return left, refused
