"""A classifier's figures against scikit-learn and the census' known ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_monitor.statistics import intervals
from model_monitor.statistics.confusion import Confusion
from sklearn import metrics

FEW = settings(max_examples=60, deadline=None)
CLASSES = ["a", "b", "c"]
CELLS = st.dictionaries(
    st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)),
    st.integers(0, 30),
    min_size=1,
)
CENSUS = {
    # tp, fp, fn, tn; then accuracy, precision, recall and F1 as known before.
    2015: ((29620, 7403, 4486, 27276), (0.8272, 0.8000, 0.8685, 0.8329)),
    2016: ((29819, 7259, 4815, 27233), (0.8253, 0.8042, 0.8610, 0.8316)),
    2017: ((30140, 6999, 4897, 27599), (0.8292, 0.8115, 0.8602, 0.8352)),
    2018: ((30490, 7115, 4932, 27594), (0.8282, 0.8108, 0.8608, 0.8350)),
}
"""Whether residents of Massachusetts are employed: ACS PUMS of the US Census Bureau
(public domain, 17 USC 105), with the predictions in the wheel nannyml 0.13.1 (Apache
License 2.0), counted 2026-11-29."""


def binary(tp: int, fp: int, fn: int, tn: int) -> Confusion:
    return Confusion({("1", "1"): tp, ("1", "0"): fp, ("0", "1"): fn, ("0", "0"): tn})


def expanded(cells: dict[tuple[str, str], int]) -> tuple[list[str], list[str]]:
    """Decisions and labels, one for each row."""
    rows = [cell for cell, count in cells.items() for _ in range(count)]
    return [decision for decision, _ in rows], [label for _, label in rows]


@pytest.mark.parametrize("year", CENSUS)
def test_the_census_has_its_known_figures(year: int) -> None:
    cells, expected = CENSUS[year]
    confusion = binary(*cells)
    figures = [
        confusion.accuracy(),
        confusion.precision("1"),
        confusion.recall("1"),
        confusion.f1("1"),
    ]
    assert [round(figure.value, 4) for figure in figures if figure] == list(expected)


@FEW
@given(CELLS)
def test_figures_equal_scikit_learns(cells: dict[tuple[str, str], int]) -> None:
    confusion = Confusion(cells)
    decisions, labels = expanded(cells)
    assert confusion.n == len(labels)
    assert confusion.classes == tuple(sorted({*decisions, *labels}))
    if not confusion.n:
        assert confusion.accuracy() is None
        return
    report = metrics.precision_recall_fscore_support(
        labels, decisions, labels=CLASSES, zero_division=np.nan
    )
    for index, name in enumerate(CLASSES):
        found = (confusion.precision(name), confusion.recall(name), confusion.f1(name))
        for figure, expected in zip(found, (it[index] for it in report), strict=False):
            if figure is None:
                assert np.isnan(expected)
            else:
                assert figure.value == pytest.approx(expected, abs=1e-12)
                assert 0 <= figure.low <= figure.value <= figure.high <= 1
    accuracy = confusion.accuracy()
    assert accuracy is not None
    assert accuracy.value == metrics.accuracy_score(labels, decisions)


@FEW
@given(CELLS, CELLS)
def test_the_counts_of_two_days_add_up(
    first: dict[tuple[str, str], int], second: dict[tuple[str, str], int]
) -> None:
    rows = [
        left + right
        for left, right in zip(expanded(first), expanded(second), strict=True)
    ]
    together: dict[tuple[str, str], int] = {}
    for cell in zip(*rows, strict=True):
        together[cell] = together.get(cell, 0) + 1
    assert Confusion(first) + Confusion(second) == Confusion(together)


def test_what_is_undefined_is_none_and_what_is_wrong_is_0() -> None:
    never_decided = Confusion({("a", "a"): 5, ("a", "b"): 5})
    assert never_decided.precision("b") is None
    assert never_decided.recall("b") == intervals.wilson(0, 5)
    assert never_decided.f1("b").value == 0
    assert never_decided.macro_precision() is None
    never_labelled = Confusion({("a", "a"): 5, ("b", "a"): 5})
    assert never_labelled.recall("b") is None
    assert never_labelled.macro_recall() is None
    assert never_labelled.precision("b") == intervals.wilson(0, 5)
    assert never_labelled.macro_f1().value == pytest.approx(1 / 3)
    for figure in ("precision", "recall", "f1"):
        assert getattr(never_labelled, figure)("unknown") is None
    assert never_labelled.macro_f1(["a", "unknown"]) is None
    assert Confusion({}).macro_f1() is None
    assert Confusion({}).macro_recall() is None


def test_the_interval_of_f1_covers_what_it_should() -> None:
    """2,000 days of 200 rows, F1 .8; the share covered is known to .005 at 95 %."""
    shares = np.array([0.4, 0.1, 0.1, 0.4])
    f1 = 2 * 0.4 / (2 * 0.4 + 0.2)
    days = np.random.default_rng(5).multinomial(200, shares, 2000)
    found = [binary(*day).f1("1") for day in days]
    covered = np.mean([it.low <= f1 <= it.high for it in found])
    assert covered == pytest.approx(0.95, abs=0.015)
    half = np.mean([(it.high - it.low) / 2 for it in found])
    # tp of tp + fp + fn is 2/3 of 120 rows; dF1/dshare is 2 / (1 + 2/3)^2.
    deviation = math.sqrt(2 / 9 / 120) * 2 / (5 / 3) ** 2
    assert half == pytest.approx(1.96 * deviation, rel=0.02)


def test_f1_of_few_rows_without_an_error_is_not_certain() -> None:
    found = binary(5, 0, 0, 95).f1("1")
    low = intervals.wilson(5, 5).low
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(2 * low / (1 + low))
    assert found.low < 0.75


def test_the_interval_of_f1_is_the_bootstraps_where_there_are_many_rows() -> None:
    cells = [4000, 800, 1200, 4000]
    found = binary(*cells).f1("1")
    boot = intervals.bootstrap(
        cells,
        lambda it: 2 * it[:, 0] / (2 * it[:, 0] + it[:, 1] + it[:, 2]),
        draws=20000,
        seed=1,
    )
    width = boot.high - boot.low
    assert (found.low, found.high) == pytest.approx(
        (boot.low, boot.high), abs=0.03 * width
    )


@pytest.mark.parametrize("figure", ["macro_precision", "macro_recall", "macro_f1"])
def test_the_averages_over_classes_equal_scikit_learns(figure: str) -> None:
    cells = {("a", "a"): 50, ("a", "b"): 7, ("b", "b"): 20, ("b", "c"): 4}
    cells |= {("c", "c"): 9, ("c", "a"): 3, ("b", "a"): 2}
    decisions, labels = expanded(cells)
    expected = {
        "macro_precision": metrics.precision_score(labels, decisions, average="macro"),
        "macro_recall": metrics.balanced_accuracy_score(labels, decisions),
        "macro_f1": metrics.f1_score(labels, decisions, average="macro"),
    }
    found = getattr(Confusion(cells), figure)()
    assert found.value == pytest.approx(expected[figure], abs=1e-12)


def test_the_bounds_of_averages_add_up_as_squares() -> None:
    confusion = Confusion(
        {("a", "a"): 30, ("b", "a"): 10, ("b", "b"): 9, ("a", "b"): 1}
    )
    found = confusion.macro_recall()
    first, second = intervals.wilson(30, 40), intervals.wilson(9, 10)
    below = math.hypot(first.value - first.low, second.value - second.low) / 2
    above = math.hypot(first.high - first.value, second.high - second.value) / 2
    assert found.value == pytest.approx((0.75 + 0.9) / 2)
    assert (found.low, found.high) == pytest.approx(
        (found.value - below, found.value + above), abs=1e-12
    )
    first, second = intervals.wilson(30, 31), intervals.wilson(9, 19)
    below = math.hypot(first.value - first.low, second.value - second.low) / 2
    found = confusion.macro_precision()
    assert found.low == pytest.approx(found.value - below, abs=1e-12)


@pytest.mark.parametrize("figure", ["macro_precision", "macro_recall", "macro_f1"])
def test_the_intervals_of_averages_cover_what_they_should(figure: str) -> None:
    """300 days of 300 rows of three classes, one of them rare."""
    shares = np.array([[50, 5, 2], [6, 25, 1], [2, 1, 8]]) / 100
    truth = {
        "macro_precision": (shares.diagonal() / shares.sum(1)).mean(),
        "macro_recall": (shares.diagonal() / shares.sum(0)).mean(),
        "macro_f1": (2 * shares.diagonal() / (shares.sum(0) + shares.sum(1))).mean(),
    }[figure]
    days = np.random.default_rng(6).multinomial(300, shares.ravel(), 300)
    names = [(decision, label) for decision in CLASSES for label in CLASSES]
    inside = 0
    for day in days:
        found = getattr(
            Confusion(dict(zip(names, day.tolist(), strict=True))), figure
        )()
        inside += found.low <= truth <= found.high
    # 95 % give 285 +- 7.4 (two deviations).
    assert 270 <= inside <= 298


def test_wrong_counts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cells\[0\] = -1: a count is a whole"):
        Confusion({("a", "a"): -1})
    with pytest.raises(ValueError, match=r"cells\[1\] = nan: a count is a whole"):
        Confusion({("a", "a"): 1, ("a", "b"): float("nan")})
