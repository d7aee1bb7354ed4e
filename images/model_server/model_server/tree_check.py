"""Compares two evaluators of a tree ensemble on rows that could show differences.

Beside the model folder's rows: numbers on every threshold and next to it, missing and
infinite ones, zeros of both signs, the largest and smallest of FP32, and ordinary ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from model_server.outputs import Array
from model_server.runner import Run
from model_server.tree_graph import NotTreesError

TOLERANCE = 1e-6
"""Tolerance of a score, and of this share of it: rounding, in another order if
onnxruntime adds with several threads."""
LEAST_ROWS, MOST_ROWS, RUN_ROWS = 512, 8192, 256
SINGLE_ROWS = 8
"""Rows of each block that also run one by one: onnxruntime has a different path for one
row."""
_SEED = 20261129
_ODD = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 3.4028235e38, -3.4028235e38, 1e-45, -1e-45],
    np.float32,
)

Rows = NDArray[np.float32]


def compare(
    ours: Run,
    theirs: Run,
    given: Sequence[bytes],
    columns: int,
    thresholds: Mapping[int, Rows],
) -> None:
    """Raise `NotTreesError` if an answer differs; `given` are rows of the folder."""
    known = np.frombuffer(b"".join(given), np.float32).reshape(-1, columns)
    own_blocks = (known[it : it + RUN_ROWS] for it in range(0, len(known), RUN_ROWS))
    largest: dict[int, float] = {}
    for rows in _runs(chain(own_blocks, made_up(columns, thresholds))):
        pairs = zip(ours([rows.tobytes()]), theirs([rows.tobytes()]), strict=True)
        for place, (own, other) in enumerate(pairs):
            largest[place] = max(largest.get(place, 0.0), _largest(other))
            if not alike(own, other, largest[place]):
                raise NotTreesError("onnxruntime answers otherwise")


def _runs(blocks: Iterable[Rows]) -> Iterator[Rows]:
    """Yield each block, and then some rows of it one by one."""
    for rows in blocks:
        yield rows
        for row in rows[:: -(-len(rows) // SINGLE_ROWS)]:
            yield row.reshape(1, -1)


def _largest(reference: Array) -> float:
    """Return the largest finite magnitude; 0 if there is none."""
    if reference.dtype != np.float32:
        return 0.0
    finite = np.isfinite(reference)
    return float(np.abs(reference).max(initial=0.0, where=finite))


def alike(own: Array, other: Array, largest: float) -> bool:
    """Tell whether outputs are equal, or scores of FP32 as near as rounding is.

    `largest` is the largest magnitude of such an output: where all are tiny, so is
    what a sum near zero may be off by.
    """
    if own.shape != other.shape or own.dtype != other.dtype:
        return False
    if own.dtype != np.float32:
        return bool((own == other).all())
    near = TOLERANCE * min(1.0, largest)
    return bool(np.allclose(own, other, rtol=TOLERANCE, atol=near))


def made_up(columns: int, thresholds: Mapping[int, Rows]) -> Iterator[Rows]:
    """Yield rows that have every threshold, as far as `MOST_ROWS` have room for.

    They come in blocks of `RUN_ROWS`: at 4,096 columns all of them are 128 MiB.
    """
    source = np.random.default_rng(_SEED)
    telling = {
        column: source.permutation(_boundary_rows(ends))
        for column, ends in thresholds.items()
    }
    longest = max((len(it) for it in telling.values()), default=0)
    count = min(max(LEAST_ROWS, longest), MOST_ROWS)
    for first in range(0, count, RUN_ROWS):
        size = min(RUN_ROWS, count - first)
        rows = source.standard_normal((size, columns), np.float32)
        for column, values in telling.items():
            # Each value, in an order of its own, then again; others stay as they are.
            share = min(1.0, max(0.75, len(values) / count))
            start, end = (math.ceil(share * it) for it in (first, first + size))
            places = source.permutation(size)[: end - start]
            rows[places, column] = values.take(range(start, end), mode="wrap")
        yield rows


def _boundary_rows(ends: Rows) -> Rows:
    """Return the ends of intervals, their neighbours and odd numbers."""
    beside = [np.nextafter(ends, np.float32(side)) for side in (-np.inf, np.inf)]
    return np.concatenate([ends, *beside, _ODD])
