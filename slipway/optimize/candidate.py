"""A candidate: a model folder of its own, measured beside the one it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from model_server.config import Config
from model_server.manifest import ModelError
from model_server.model import load_model
from model_server.model_files import GRAPH
from model_server.outputs import Array
from model_server.preparation import Prepared, prepare
from numpy.typing import NDArray

from slipway.optimize import folders, latency, memory, scoring
from slipway.optimize.comparison import compare, labels_like
from slipway.optimize.gate import Check, Evidence, Limits, Purpose, judge, passes
from slipway.optimize.latency import Batch, Stopwatch
from slipway.optimize.recipes import MASKS, NotApplicableError, Recipe, Source
from slipway.optimize.rows import Rows
from slipway.optimize.statistics import Interval

ALONE, MIXED, OUTLIER = "alone", "mixed", "beside an outlier"
TIMED_BATCHES = 32
WAITING = 16
"""Requests of one row that wait at one moment."""
ONNXRUNTIME, AUTO = "onnxruntime", "auto"
Weigh = Callable[[Path, str], float]
"""Resident MiB of a process that serves the model of a folder by an evaluator."""


@dataclass(frozen=True)
class Bench:
    """Measurement of candidates, and their limits."""

    config: Config
    limits: Limits = field(default_factory=Limits)
    purpose: Purpose = "speed"
    pairs: int = 31
    dependent_rows: bool = False
    """Whether a request's rows may run together, apart from all others."""
    stopwatch: Stopwatch = latency.cpu_seconds
    weigh: Weigh = memory.resident_mib


@dataclass(frozen=True)
class Verdict:
    """The result of a recipe: checks, or why it cannot be tried."""

    recipe: Recipe
    checks: list[Check]
    inapplicable: str = ""
    folder: Path | None = None
    accuracy: float = 0.0

    @property
    def passed(self) -> bool:
        return passes(self.checks)

    @property
    def merit(self) -> float:
        """Return the sort key of candidates that pass."""
        speeds = [it.interval for it in self.checks if it.measure == "speed"]
        return float(np.prod([it.value for it in speeds if it]))


class Original:
    """The model that candidates are made from, and its answers to the rows."""

    def __init__(self, folder: Path, rows: Rows, bench: Bench) -> None:
        self.folder, self.bench = folder, bench
        self.calibration, judging = rows.divided()
        self.served = served(folder, bench.config, ONNXRUNTIME)
        model = self.served.model
        self.alone = scoring.one_by_one(model, judging.inputs)
        labels = labels_like(judging.labels, self.alone.decisions)
        self.rows = Rows(judging.inputs, labels, judging.groups)
        self.mixed = scoring.mixed(model, judging.inputs, bench.config.max_batch_rows)

    @property
    def graph(self) -> Path:
        return self.folder / GRAPH

    def source(self) -> Source:
        names = [it.name for it in self.served.model.manifest.inputs]
        inputs = dict(zip(names, self.calibration.inputs, strict=True))
        return Source(self.graph, inputs)


def served(folder: Path, config: Config, evaluator: str) -> Prepared:
    """A model as a server would serve it; ModelError if it would not."""
    return prepare(
        load_model(folder, config.threads or 1),
        max_batch_rows=config.max_batch_rows,
        max_request_rows=config.max_request_rows,
        evaluator=evaluator,
    )


def examine(original: Original, recipe: Recipe, folder: Path) -> Verdict:
    """Make a candidate in the folder, measure it and judge it."""
    bench = original.bench
    evaluator = AUTO if recipe.name == MASKS else ONNXRUNTIME
    try:
        folders.make(original.folder, folder, recipe, original.source())
        if recipe.changes_answers and bench.dependent_rows:
            folders.let_rows_depend(folder)
        if recipe.changes_answers:
            folders.renew_examples(original.folder, folder, bench.config)
        candidate = served(folder, bench.config, evaluator)
    except NotApplicableError as error:
        return Verdict(recipe, [], str(error))
    except ModelError as error:
        first, *others = error.problems
        said = f"{first} (and {len(others)} more)" if others else first
        return Verdict(recipe, [Check("loads", "", said, "yes", False)])
    if recipe.name == MASKS and candidate.model.evaluator != MASKS:
        return Verdict(recipe, [], candidate.not_trees)
    loads = Check("loads", "", "yes", "yes", True)
    evidence = _evidence(original, candidate, folder, evaluator)
    checks = [loads, *judge(evidence, bench.limits, bench.purpose)]
    accuracy = min(it.accuracy for it in evidence.answers.values())
    return Verdict(recipe, checks, folder=folder, accuracy=accuracy)


def _evidence(
    original: Original, candidate: Prepared, folder: Path, evaluator: str
) -> Evidence:
    bench, rows, model = original.bench, original.rows, candidate.model
    largest = bench.config.max_batch_rows
    alone = scoring.one_by_one(model, rows.inputs)
    mixed = scoring.mixed(model, rows.inputs, largest)
    speeds = {
        size: latency.speed_ratio(
            original.served.model.run,
            model.run,
            _timed(rows.inputs, size),
            bench.pairs,
            bench.stopwatch,
        )
        for size in (1, largest)
    }
    return Evidence(
        answers={
            ALONE: compare(original.alone, alone, rows),
            MIXED: compare(original.mixed, mixed, rows),
        },
        speeds=speeds,
        memory_mib=(
            bench.weigh(original.folder, ONNXRUNTIME),
            bench.weigh(folder, evaluator),
        ),
        size_bytes=(folders.weights(original.folder), folders.weights(folder)),
        notes=tuple(_notes(original, candidate)),
    )


def _timed(inputs: Sequence[NDArray[Any]], size: int) -> list[Batch]:
    """Different runs of some rows, chosen anew for each."""
    source = np.random.default_rng(scoring.SEED)
    count = len(inputs[0])
    chosen = source.integers(0, count, TIMED_BATCHES * size)
    return list(scoring.batches(inputs, chosen, [size] * TIMED_BATCHES))


def _notes(original: Original, candidate: Prepared) -> Iterator[Check]:
    """Return the cost of separate runs for the rows of different requests."""
    if not candidate.runs_apart or original.served.runs_apart:
        return
    bench, rows, model = original.bench, original.rows, candidate.model
    largest = bench.config.max_batch_rows
    before = original.served.model
    change = compare(
        scoring.beside_outliers(before, rows.inputs, largest),
        scoring.beside_outliers(model, rows.inputs, largest),
        rows,
    )
    yield Check(
        "accuracy",
        OUTLIER,
        f"{change.accuracy:.4f}, {change.labels_changed:.2%} changed",
    )
    ratio = _requests_at_once(original, candidate)
    yield Check(
        "speed",
        f"{WAITING} requests at once",
        f"{ratio.value:.2f} times ({ratio.lower:.2f} {ratio.upper:.2f})",
    )


def _requests_at_once(original: Original, candidate: Prepared) -> Interval:
    """Requests of one row each: in one run before, each in its own run now."""
    bench, inputs = original.bench, original.rows.inputs
    singles = _timed(inputs, 1)[:WAITING]

    def apart(_: Batch) -> list[Array]:
        return [candidate.model.run(row) for row in singles][-1]

    together = _timed(inputs, WAITING)
    before = original.served.model.run
    return latency.speed_ratio(before, apart, together, bench.pairs, bench.stopwatch)
