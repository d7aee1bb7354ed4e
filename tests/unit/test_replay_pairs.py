"""Pairs of answers compared, against figures counted another way."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.replay.pairs import Answer, Pair, compare, difference, quantile, share


@given(st.integers(1, 5000), st.data())
def test_the_share_is_wilsons(of: int, data: st.DataObject) -> None:
    from scipy.stats import binomtest  # a second, if each process collects it

    some = data.draw(st.integers(0, of))
    expected = binomtest(some, of).proportion_ci(0.95, method="wilson")
    found = share(some, of)
    assert found.share == some / of
    assert found.lower == pytest.approx(expected.low, abs=1e-9)
    assert found.upper == pytest.approx(expected.high, abs=1e-9)
    assert found.lower <= found.share <= found.upper


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_a_value_that_so_many_do_not_exceed(
    values: list[float], below: float
) -> None:
    found = quantile(values, below)
    assert found in values
    assert sum(it <= found for it in values) >= below * len(values) - 1e-6
    assert found == np.quantile(values, below, method="inverted_cdf")


def test_all_figures_of_made_up_pairs() -> None:
    chance = random.Random(1)
    pairs, sizes, signed, changed = [], [], [], 0
    for number in range(1000):
        old, new = chance.random(), chance.random()
        one, other = int(old > 0.5), int(new > 0.5)
        changed += one != other
        signed.append(new - old)
        sizes.append(abs(new - old))
        pairs.append(
            Pair(Answer(one, old, 0.001 * number), Answer(other, new, 0.002 * number))
        )
    found = compare(pairs)
    assert found.pairs == 1000
    assert found.changed
    assert found.scores
    assert found.latency
    assert (found.changed.some, found.changed.of) == (changed, 1000)
    assert found.scores.mean == pytest.approx(np.mean(signed))
    assert found.scores.mean_absolute == pytest.approx(np.mean(sizes))
    assert found.scores.most == max(sizes)
    assert found.scores.p95_absolute == sorted(sizes)[949]
    assert found.latency.stable_median == pytest.approx(0.499)
    assert found.latency.canary_p95 == pytest.approx(2 * 0.949)
    chance.shuffle(pairs)
    again = compare(pairs)
    assert (again.changed, again.latency) == (found.changed, found.latency)


@pytest.mark.parametrize(
    ("stable", "canary", "expected"),
    [
        (0.25, 0.5, 0.25),
        (0.5, 0.25, -0.25),
        ([0.1, 0.9], [0.4, 0.6], 0.3),
        ([[1.0], [2.0]], [[1.5], [0.0]], 2.0),
        ([1.0], [1.0, 2.0], None),
        ([1.0], ["a"], None),
        (math.nan, 1.0, None),
        (True, False, None),
        ("a", "b", None),
        (None, 1.0, None),
    ],
)
def test_what_has_a_difference(stable: Any, canary: Any, expected: Any) -> None:
    found = difference(stable, canary)
    assert found == (expected if expected is None else pytest.approx(expected))


def test_what_pairs_do_not_have_is_not_made_up() -> None:
    assert compare([]).changed is None
    without = compare([Pair(Answer(None, "a"), Answer(1, "b"))])
    assert (without.pairs, without.changed, without.scores) == (1, None, None)
    lists = compare([Pair(Answer([1, 2], [0.1, 0.2]), Answer([1, 3], [0.1, 0.4]))])
    assert lists.changed
    assert lists.changed.some == 1
    assert lists.scores
    assert lists.scores.mean is None
    assert lists.scores.most == pytest.approx(0.2)
