"""Whether the answer to a row depends on the rows beside it.

Requests of different callers share runs, and a large one is cut into several: both are
right only where each row is answered by itself. A model may break that in silence: one
scale for the whole batch (onnxruntime's `quantize_dynamic`), a softmax, mean or norm
over the first dimension. So several different rows are run together, beside others,
in other orders and one by one.

Runs of one size do the same arithmetic at the same place, so that a row's answer there
may not move at all when its neighbours change. Runs of different sizes do differ in the
last bits, which a model with steps in it (a vote, a rounding) may even enlarge for a
row that lies on a step; hence the wider tolerance, which more than one row must pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server import made_up_rows
from model_server.datatypes import BFLOAT16
from model_server.manifest import ModelError
from model_server.model import Model
from model_server.named_rows import Row, alike, different, joined, key
from model_server.outputs import Array
from model_server.warm_up import check_shapes

MOST_ROWS = 8
SAME_SIZE_TOLERANCE = 1e-5
OTHER_SIZE_TOLERANCE = 1e-3
OTHER_SIZE_FLOOR = 1e-6
"""Relative to the largest number of the row's answer, but for the floor."""
ROWS_OFF_BY_ROUNDING = 1
"""Number of rows that may lie on a threshold of the model and fall to the other
side."""
BF16_PRECISION = 2.0**-7
SHOWN_VALUES = 3


@dataclass(frozen=True)
class Finding:
    """The result: `problems` name the outputs that depend on other rows.

    `doubt` says why there is no result; then rows may not share a run either.
    """

    problems: list[str] = field(default_factory=list)
    doubt: str = ""

    @property
    def is_independent(self) -> bool:
        return not self.problems and not self.doubt


def examine(model: Model, given: Sequence[Row], largest: int) -> Finding:
    """Compare what rows give together and apart; `given` are rows the model takes.

    A run has at most `largest` rows here, but 2 at least.
    """
    ordinary_rows, large_rows = _rows(model, given)
    if len(ordinary_rows) < made_up_rows.LEAST:
        return Finding(
            doubt="no two different rows were found that it takes; give some under "
            "warm_up in model.yaml"
        )
    examination = _Examination(
        model, ordinary_rows, large_rows, min(MOST_ROWS, max(2, largest))
    )
    try:
        return examination.finding()
    except _OtherSizesError:
        return Finding(doubt="its outputs have other sizes in other runs")
    except ModelError as error:
        # If every run has one row, no run of two is needed.
        return Finding(error.problems if largest > 1 else [])


def _rows(model: Model, given: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return calm and loud rows, those given first; the model takes each by itself."""
    ordinary_rows = different(alike(given)[0] if given else [])[: made_up_rows.ROWS]
    if len(ordinary_rows) < made_up_rows.LEAST:
        ordinary_rows += _most_taken(model)
    large_rows = _taken(model, made_up_rows.large_rows(model.manifest))
    return ordinary_rows, large_rows


def _most_taken(model: Model) -> list[Row]:
    """Return made-up rows: of the widest values that the model takes all, or most."""
    most: list[Row] = []
    for rows in made_up_rows.ordinary_rows(model.manifest):
        taken = _taken(model, rows)
        if len(taken) > len(most):
            most = taken
        if len(taken) == len(rows) >= made_up_rows.LEAST:
            return taken
    return most


def _taken(model: Model, rows: Sequence[Row]) -> list[Row]:
    found = []
    for row in rows:
        try:
            model.run(row)
        except Exception:  # noqa: BLE001, S112, onnxruntime's share no other base
            continue
        found.append(row)
    return found


class _Examination:
    """Runs of one model on the rows, and what of them does not agree."""

    def __init__(
        self, model: Model, ordinary_rows: list[Row], large_rows: list[Row], size: int
    ) -> None:
        self._model = model
        self._companies = (
            ordinary_rows[1:] + ordinary_rows[:1],
            large_rows or ordinary_rows[:1],
        )
        pairs = zip(
            cycle(ordinary_rows), cycle(large_rows or ordinary_rows[::-1]), strict=False
        )
        mixed = (row for pair in pairs for row in pair)
        self._rows: list[Row] = list(islice(mixed, size))
        self._off: dict[int, dict[int, str]] = {}

    def finding(self) -> Finding:
        """Return what was found; raise `ModelError` if rows fail in one run."""
        together = self._run(self._rows)
        if self._differing(together, self._run(self._rows), is_same_size=True):
            return Finding(doubt="it answers one row differently each time")
        self._compare_neighbours()
        if self._off:
            return Finding(self._problems("the rows beside it"))
        self._compare_sizes(together, self._alone())
        return Finding(self._problems("its place or the number of rows"))

    def _compare_neighbours(self) -> None:
        """Compare runs of one size in which half of the rows stay where they are."""
        size = len(self._rows)
        for first in (0, 1):
            stay = range(first, size, 2)
            answers = []
            for company in self._companies:
                others = cycle(company)
                answers.append(
                    self._run(
                        [
                            row if place in stay else next(others)
                            for place, row in enumerate(self._rows)
                        ]
                    )
                )
            found = self._differing(answers[0], answers[1], is_same_size=True)
            self._note(found, stay)

    def _compare_sizes(self, together: list[Array], alone: list[Array]) -> None:
        size = len(self._rows)
        places = list(range(size))
        # Each place has two calm rows in turn: a loud one's large numbers hide much.
        turned = (places[by:] + places[:by] for by in (size // 2, size // 2 - 1))
        orders = [places, places[::-1], *turned]
        for order in orders:
            answers = (
                together
                if order is places
                else self._run([self._rows[place] for place in order])
            )
            back = np.argsort(order)
            found = self._differing(
                alone, [array[back] for array in answers], is_same_size=False
            )
            self._note(found, places)
        most = min(ROWS_OFF_BY_ROUNDING, len(different(self._rows)) - 1)
        for output, rows in list(self._off.items()):
            if len(different(self._rows[place] for place in rows)) <= most:
                del self._off[output]

    def _alone(self) -> list[Array]:
        answers = {key(row): self._run([row]) for row in different(self._rows)}
        parts = [answers[key(row)] for row in self._rows]
        try:
            return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
        except ValueError as error:
            raise _OtherSizesError from error

    def _run(self, rows: Sequence[Row]) -> list[Array]:
        try:
            results = self._model.run(joined(rows))
        except Exception as error:
            name = self._model.manifest.name
            problem = (
                f"{name}: it takes rows one by one and refuses {len(rows)} together "
                f"({error}); say `rows: dependent` in model.yaml if that is meant"
            )
            raise ModelError([problem]) from error
        check_shapes(self._model, results, len(rows))
        return results

    def _differing(
        self, first: list[Array], second: list[Array], *, is_same_size: bool
    ) -> list[tuple[int, int, str]]:
        """Return output, place and text of what is not the same in two answers."""
        found = []
        for index, (a, b) in enumerate(zip(first, second, strict=True)):
            if a.shape != b.shape:
                raise _OtherSizesError
            is_rough = self._model.manifest.outputs[index].datatype == BFLOAT16
            precision = BF16_PRECISION if is_rough else 0.0
            same = _same(a, b, precision, is_same_size=is_same_size)
            for place in np.flatnonzero(~same):
                text = f"{_shown(a[place])} and {_shown(b[place])}"
                found.append((index, int(place), text))
        return found

    def _note(self, found: list[tuple[int, int, str]], places: Sequence[int]) -> None:
        for output, place, text in found:
            if place in places:
                self._off.setdefault(output, {}).setdefault(place, text)

    def _problems(self, on_what: str) -> list[str]:
        manifest = self._model.manifest
        return [
            f"{manifest.name}: version {manifest.version}: output "
            f"{manifest.outputs[output].name}: the answer to a row depends on "
            f"{on_what} (one row gave {next(iter(places.values()))}); export the "
            "model so that each row is answered by itself, or say `rows: dependent` "
            "in model.yaml: then each request runs by itself"
            for output, places in sorted(self._off.items())
        ]


class _OtherSizesError(Exception):
    """An output's free dimensions differ between runs, so nothing can be compared."""


def _same(
    first: NDArray[Any],
    second: NDArray[Any],
    precision: float,
    *,
    is_same_size: bool,
) -> NDArray[Any]:
    """Tell for each row whether two answers to it are the same but for rounding.

    `precision` is the outputs' own, where it is less than their arrays'.
    """
    rows = len(first)
    first, second = first.reshape(rows, -1), second.reshape(rows, -1)
    if first.dtype.kind != "f":
        same: NDArray[Any] = (first == second).all(axis=1)
        return same
    precision = max(precision, float(np.finfo(first.dtype).eps))
    a, b = first.astype(np.float64), second.astype(np.float64)
    largest = np.where(np.isfinite(a), np.abs(a), 0.0).max(
        axis=1, keepdims=True, initial=0.0
    )
    if is_same_size:
        allowed = max(SAME_SIZE_TOLERANCE, 4 * precision) * largest
    else:
        allowed = np.maximum(
            max(OTHER_SIZE_TOLERANCE, 32 * precision) * largest,
            max(OTHER_SIZE_FLOOR, 4 * precision),
        )
    with np.errstate(invalid="ignore"):
        close = (np.abs(a - b) <= allowed) | (a == b) | (np.isnan(a) & np.isnan(b))
    return np.asarray(close.all(axis=1))


def _shown(row: Array) -> str:
    """Return one row of an output, cut to its first values."""
    values = np.asarray(row).reshape(-1)[:SHOWN_VALUES].tolist()
    texts = [f"{it:.6g}" if isinstance(it, float) else repr(it) for it in values]
    return f"[{', '.join(texts)}]" if np.ndim(row) else texts[0]
