"""A model's answers to rows: one by one, and in batches of many sizes.

Both are asked: the answer of a dynamically quantized model depends on the rows beside
its own, since one scale holds for a whole run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from model_server.buffers import Buffer
from model_server.manifest import Manifest
from model_server.model import Model
from numpy.typing import NDArray

from toolchain.errors import WrongInputError

SEED = 20261130
LOUDNESS = 1000
"""An outlier is a row so many times as large as a real one."""


@dataclass(frozen=True)
class Answers:
    """For each row: the decision, and a score in each of the output's columns."""

    decisions: NDArray[Any]
    scores: NDArray[np.float64] | None


def batches(
    inputs: Sequence[NDArray[Any]], rows: NDArray[np.int64], sizes: Sequence[int]
) -> Iterator[list[Buffer]]:
    """The rows in runs of these sizes, as a server packs them."""
    start = 0
    for size in sizes:
        chosen = rows[start : start + size]
        yield [np.ascontiguousarray(it[chosen]).tobytes() for it in inputs]
        start += size


def one_by_one(model: Model, inputs: Sequence[NDArray[Any]]) -> Answers:
    count = len(inputs[0])
    return _answers(model, batches(inputs, np.arange(count), [1] * count))


def mixed(model: Model, inputs: Sequence[NDArray[Any]], largest: int) -> Answers:
    """Answers from runs of 2 to `largest` rows that chance puts together.

    The same rows share a run each time, so that two models can be compared.
    """
    order, sizes = _mixture(len(inputs[0]), largest)
    return _in_order(_answers(model, batches(inputs, order, sizes)), order)


def beside_outliers(
    model: Model, inputs: Sequence[NDArray[Any]], largest: int
) -> Answers:
    """Answers from the same runs with an outlier in each."""
    order, sizes = _mixture(len(inputs[0]), largest)

    def runs() -> Iterator[list[Buffer]]:
        start = 0
        for size in sizes:
            chosen = order[start : start + size]
            parts = [it[chosen] for it in inputs]
            loud = [_scaled_up(it[:1]) for it in parts]
            yield [
                np.concatenate(pair).tobytes() for pair in zip(parts, loud, strict=True)
            ]
            start += size

    return _in_order(_answers(model, runs(), left_out=1), order)


def _scaled_up(row: NDArray[Any]) -> NDArray[Any]:
    """A much larger row; of whole numbers, which may be ids, the same."""
    return row * row.dtype.type(LOUDNESS) if row.dtype.kind == "f" else row


def _mixture(count: int, largest: int) -> tuple[NDArray[np.int64], list[int]]:
    source = np.random.default_rng(SEED)
    order, sizes, left = source.permutation(count), [], count
    while left:
        sizes.append(min(left, int(source.integers(2, max(2, largest) + 1))))
        left -= sizes[-1]
    return order, sizes


def _in_order(answers: Answers, order: NDArray[np.int64]) -> Answers:
    """Answers in the order of the rows, of answers in another."""
    back = np.argsort(order)
    scores = None if answers.scores is None else answers.scores[back]
    return Answers(answers.decisions[back], scores)


def _answers(
    model: Model, runs: Iterator[list[Buffer]], *, left_out: int = 0
) -> Answers:
    """The answers to all runs but for the last `left_out` rows of each."""
    decision, score = outputs_of(model.manifest)
    decisions, scores = [], []
    for buffers in runs:
        outputs = model.run(buffers)
        stop = len(outputs[0]) - left_out
        decisions.append(outputs[decision][:stop])
        if score is not None:
            scores.append(outputs[score][:stop])
    found = np.concatenate(decisions)
    if decision == score:
        found = found.argmax(axis=1)
    found = found.reshape(len(found))
    if found.dtype == object:  # texts
        found = found.astype(str)
    if score is None:
        return Answers(found, None)
    columns = np.concatenate(scores).astype(np.float64).reshape(len(found), -1)
    return Answers(found, columns)


def outputs_of(manifest: Manifest) -> tuple[int, int | None]:
    """Places of the outputs with the decision and with the score, if there is one.

    They are one output where the decision is its largest column. WrongInputError if
    the model decides nothing, so that it has no accuracy.
    """
    places = {tensor.name: place for place, tensor in enumerate(manifest.outputs)}
    score = places.get(manifest.score)
    if manifest.decision:
        return places[manifest.decision], score
    if score is not None and manifest.outputs[score].width > 1:
        return score, score
    raise WrongInputError(
        f"{manifest.name}: model.yaml names no output with a decision, so there is no "
        "accuracy that a gate could hold; name one as prediction.decision, or one of "
        "two columns or more as prediction.score"
    )
