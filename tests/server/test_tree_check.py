"""Which rows tell two evaluators of trees apart, and how near their scores must be."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from model_server import tree_check
from model_server.tree_graph import NotTreesError


def evaluator(factor: float, off: float = 0.0):
    """Scores of one column, off by so much."""

    def run(buffers):
        rows = np.frombuffer(buffers[0], np.float32).reshape(-1, 2)
        near = np.clip(np.nan_to_num(rows[:, 0], nan=0.5), -1, 1)
        return [(near * factor + off).astype(np.float32)]

    return run


@pytest.mark.parametrize("count", [3, 700, 2700])
def test_every_threshold_is_in_some_row_with_its_neighbours(count: int) -> None:
    ends = np.random.default_rng(1).normal(size=count).astype(np.float32)
    found = np.concatenate(list(tree_check.made_up(3, {1: ends, 2: ends[:1]})))
    for column, wanted in ((1, ends), (2, ends[:1])):
        assert set(wanted) <= set(found[:, column])
        assert set(np.nextafter(wanted, np.float32(np.inf))) <= set(found[:, column])
        assert np.isnan(found[:, column]).any()
    assert np.isfinite(found[:, 0]).all()
    assert len(found) == max(tree_check.LEAST_ROWS, 3 * count + len(tree_check._ODD))


def test_wide_models_are_compared_in_little_memory() -> None:
    ends = np.arange(2800, dtype=np.float32)
    tracemalloc.start()
    rows = sum(len(it) for it in tree_check.made_up(4096, {0: ends}))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == tree_check.MOST_ROWS
    assert most < 24 << 20


@pytest.mark.parametrize("factor", [1.0, 1e-7])
def test_scores_are_as_near_as_rounding_whatever_their_size(factor: float) -> None:
    ours, rounded = evaluator(factor), evaluator(factor, 0.5e-6 * factor)
    tree_check.compare(ours, rounded, [], 2, {})
    with pytest.raises(NotTreesError):
        tree_check.compare(ours, evaluator(factor, 1e-5 * factor), [], 2, {})


def test_rows_run_alone_are_compared_too() -> None:
    def alone(buffers):
        return evaluator(1.0, 0.1 if len(buffers[0]) == 8 else 0.0)(buffers)

    with pytest.raises(NotTreesError):
        tree_check.compare(alone, evaluator(1.0), [b"\0" * 4000], 2, {})
