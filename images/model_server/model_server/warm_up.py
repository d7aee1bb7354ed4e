"""Warming a model up: runs of each size, which also show what it takes and gives."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import cycle, islice

from model_server.buffers import Buffer, zeros
from model_server.manifest import ModelError
from model_server.model import Model
from model_server.named_rows import Row, alike, joined
from model_server.outputs import Array
from model_server.run_time import RunTime
from model_server.tensor import FREE

WARM_UP_RUNS = 3
REPEATED_SECONDS = 0.1
"""A run longer than this is measured once, or warming up would take minutes."""


def zero_row(model: Model) -> Row:
    """Return a row of zeros and empty texts."""
    return [zeros(tensor, 1) for tensor in model.manifest.inputs]


def warm_up(model: Model, rows: Sequence[Row], what: str, largest: int) -> RunTime:
    """Run batches of 1, 2, 4 ... rows and the largest; check what comes out.

    The first run of a size makes what the next ones of about that size use again, so no
    request has to pay for it. Raises `ModelError` if the model refuses the rows, which
    `what` names, or gives other shapes than model.yaml says.
    """
    seconds: dict[int, float] = {}
    first, *others = alike(rows)
    for group in others:  # rows of other sizes, whose time is not measured
        _try(model, joined(group), what, len(group))
    for count in [*_powers_of_two(largest), largest]:
        buffers = joined(islice(cycle(first), count))
        _try(model, buffers, what, count)
        seconds[count] = _time(model, buffers)
        if seconds[count] < REPEATED_SECONDS:
            again = [_time(model, buffers) for _ in range(WARM_UP_RUNS - 1)]
            seconds[count] = min(seconds[count], *again)
    return RunTime(seconds)


def _try(model: Model, buffers: Sequence[Buffer], what: str, count: int) -> None:
    try:
        results = model.run(buffers)
    except Exception as error:  # onnxruntime's errors share no base but this
        raise ModelError([_refusal(model, what, count, error)]) from error
    check_shapes(model, results, count)


def check_shapes(model: Model, results: list[Array], rows: int) -> None:
    """Raise `ModelError` if outputs of so many rows are not as model.yaml says."""
    problems = [
        f"{model.manifest.name}: output {tensor.name}: a run of {rows} rows gave "
        f"the shape {list(result.shape)}, model.yaml says {list(tensor.shape)}"
        for tensor, result in zip(model.manifest.outputs, results, strict=True)
        if not _is_of_shape(result.shape, (rows, *tensor.shape[1:]))
    ]
    if problems:
        raise ModelError(problems)


def _refusal(model: Model, what: str, count: int, error: Exception) -> str:
    manifest = model.manifest
    inputs = ", ".join(tensor.name for tensor in manifest.inputs)
    noun = "input" if len(manifest.inputs) == 1 else "inputs"
    return (
        f"{manifest.name}: version {manifest.version}: {noun} {inputs}: the model "
        f"refuses {what} to warm up with (rows: {count}; {error}); give rows that it "
        "takes under warm_up in model.yaml"
    )


def _time(model: Model, buffers: Sequence[Buffer]) -> float:
    started = time.perf_counter()
    model.run(buffers)
    return time.perf_counter() - started


def _powers_of_two(below: int) -> list[int]:
    return [1 << power for power in range((below - 1).bit_length())]


def _is_of_shape(found: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    return len(found) == len(declared) and all(
        size in {FREE, given} for given, size in zip(found, declared, strict=True)
    )
