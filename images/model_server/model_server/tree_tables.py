"""The tables of masks by which tree_masks.c evaluates a tree ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server.tree_ensemble import MODES, Branch, Trees
from model_server.tree_graph import NotTreesError
from model_server.tree_outputs import Weights

MOST_BYTES = 16 * 2**20
"""Maximum size of all tables of a model. A server's planned memory does not include
them."""

STEP = 32
"""Bytes of masks that tables.h ANDs at once: lines are filled up to a multiple."""

Words = np.unsignedinteger[Any]


@dataclass(frozen=True)
class Tables:
    """Arguments of `tree_masks.Forest`, which checks all lengths and indexes again."""

    columns: int
    trees: int
    targets: int
    bits: int
    output: int
    divisor: float
    column: NDArray[np.uint32]
    first: NDArray[np.uint32]
    thresholds: NDArray[np.float32]
    masks: NDArray[Words]
    leaves: NDArray[np.float32]
    bases: NDArray[np.float32]
    label: NDArray[np.int64]

    def arguments(self) -> Mapping[str, object]:
        return dict(vars(self))

    def thresholds_of(self) -> Mapping[int, NDArray[np.float32]]:
        """Return where the intervals of each column that matters end."""
        return {
            int(column): self.thresholds[start:stop]
            for column, start, stop in zip(
                self.column, self.first, self.first[1:], strict=False
            )
        }


@dataclass
class _Lines:
    """The thresholds and masks by feature, one after the other."""

    column: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=lambda: [0])
    thresholds: list[NDArray[np.float32]] = field(default_factory=list)
    masks: list[NDArray[Words]] = field(default_factory=list)


def make_tables(trees: Trees, weights: Weights, columns: int) -> Tables:
    """Return the tables of trees over rows of so many columns.

    Raises `NotTreesError` if they would be larger than `MOST_BYTES`.
    """
    bits = next(it for it in (16, 32, 64) if trees.most_leaves <= it)
    by_column = {
        column: list(found)
        for column, found in groupby(
            sorted(trees.branches, key=lambda it: it.column), lambda it: it.column
        )
    }
    ends = {column: _ends(found) for column, found in by_column.items()}
    targets = weights.leaves.shape[2]
    lines = sum(len(it) + 2 for it in ends.values())
    words = -(-trees.count * bits // 8 // STEP) * STEP * 8 // bits
    size = lines * words * bits // 8 + trees.count * bits * targets * 4
    if size > MOST_BYTES:
        raise NotTreesError(f"the tables would have {size} bytes, {MOST_BYTES} at most")
    table = _Lines()
    for column, found in by_column.items():
        table.column.append(column)
        table.thresholds.append(ends[column])
        table.first.append(table.first[-1] + len(ends[column]))
        table.masks.append(_masks(found, ends[column], words, bits))
    leaves = np.zeros((trees.count, bits, targets), np.float32)
    leaves[:, : weights.leaves.shape[1]] = weights.leaves
    nothing = np.zeros((0, words), f"u{bits // 8}")
    return Tables(
        columns=columns,
        trees=trees.count,
        targets=targets,
        bits=bits,
        output=int(weights.output),
        divisor=weights.divisor,
        column=np.array(table.column, np.uint32),
        first=np.array(table.first, np.uint32),
        thresholds=np.concatenate([np.zeros(0, np.float32), *table.thresholds]),
        masks=np.concatenate([nothing, *table.masks]),
        leaves=leaves,
        bases=weights.bases,
        label=weights.labels,
    )


def _ends(branches: list[Branch]) -> NDArray[np.float32]:
    """Return the ends of intervals within which no branch changes its result.

    An interval has the numbers above the one before and up to its own end. `x < t` is
    true up to the number before t, `x == t` between that and t.
    """
    found: set[np.float32] = set()
    for it in branches:
        before = np.nextafter(it.threshold, np.float32(-np.inf))
        if it.mode in {b"BRANCH_LEQ", b"BRANCH_GT", b"BRANCH_EQ", b"BRANCH_NEQ"}:
            found.add(it.threshold)
        if it.mode not in {b"BRANCH_LEQ", b"BRANCH_GT"}:
            found.add(before)
    return np.unique(np.array(list(found), np.float32))


def _masks(
    branches: list[Branch], ends: NDArray[np.float32], words: int, bits: int
) -> NDArray[Words]:
    """Return a line for each interval, one beyond the last and one of a missing value.

    What is true of an interval's end is true of all of it.
    """
    values = np.concatenate([ends, np.array([np.inf, np.nan], np.float32)])
    every = (1 << bits) - 1
    masks = np.full((len(values), words), every, f"u{bits // 8}")
    for it in branches:
        is_true = MODES[it.mode](values, it.threshold)
        is_true[-1] |= it.missing_is_true
        left = np.where(
            is_true,
            masks.dtype.type(every & ~it.on_false),
            masks.dtype.type(every & ~it.on_true),
        )
        masks[:, it.tree] &= left
    return masks
