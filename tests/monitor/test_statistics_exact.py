"""Fisher's exact test, against SciPy's and the sum over all tables in fractions."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import model_monitor
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_monitor.statistics import exact
from scipy import stats


def by_fractions(x: int, n: int, y: int, m: int) -> float:
    """Irwin's p without any rounding but the last."""
    successes = x + y
    ways = {
        k: math.comb(n, k) * math.comb(m, successes - k)
        for k in range(max(0, successes - m), min(n, successes) + 1)
    }
    as_unlikely = sum(way for way in ways.values() if way <= ways[x])
    return float(Fraction(as_unlikely, sum(ways.values())))


@st.composite
def tables(draw: st.DrawFn, most: int) -> tuple[int, int, int, int]:
    n, m = draw(st.integers(1, most)), draw(st.integers(1, most))
    return draw(st.integers(0, n)), n, draw(st.integers(0, m)), m


@given(tables(60))
def test_it_is_the_sum_of_all_tables_as_unlikely(
    table: tuple[int, int, int, int],
) -> None:
    assert exact.two_sided(*table) == pytest.approx(by_fractions(*table), rel=1e-10)


@pytest.mark.parametrize("x", [0, 1, 100, 480, 500, 520, 700, 1000, 100_000])
@pytest.mark.parametrize(
    ("n", "y", "m"), [(100_000, 1000, 200_000), (10**7, 50, 10**6)]
)
def test_of_many_rows_it_is_scipys(x: int, n: int, y: int, m: int) -> None:
    expected = stats.fisher_exact([[x, n - x], [y, m - y]]).pvalue
    assert exact.two_sided(x, n, y, m) == pytest.approx(expected, rel=1e-7, abs=1e-300)


def test_blocks_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = exact.two_sided(300, 10_000, 250, 9_000)
    monkeypatch.setattr(exact, "BLOCK", 7)
    assert exact.two_sided(300, 10_000, 250, 9_000) == pytest.approx(expected, 1e-12)


def test_a_table_as_unlikely_on_the_other_side_counts() -> None:
    for n in (10, 1000, 100_000):
        assert exact.two_sided(3, n, 7, n) == exact.two_sided(7, n, 3, n)
        assert exact.two_sided(5, n, 5, n) == pytest.approx(1)


def test_a_monitor_starts_without_most_of_scipy() -> None:
    """What `serve` imports: scipy.stats and scipy.optimize are half of the memory."""
    program = (
        "import sys, model_monitor.__main__, model_monitor.server, "
        "model_monitor.cycle; print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(model_monitor.__file__).parents[1])},
    )
    loaded = done.stdout.split()
    assert "model_monitor.statistics.drift" in loaded
    assert "scipy.special" in loaded
    assert not {"scipy.stats", "scipy.optimize", "scipy.spatial"} & set(loaded)
