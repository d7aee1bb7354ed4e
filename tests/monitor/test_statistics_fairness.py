"""Figures by group against fairlearn, known audits and the law's rule of thumb."""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn import metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from model_monitor.statistics import fairness, intervals
from model_monitor.statistics.fairness import Cells
from sklearn.metrics import accuracy_score

FEW = settings(max_examples=25, deadline=None)
CELLS = st.builds(Cells, *[st.integers(0, 20)] * 4)
GROUPS = st.dictionaries(st.sampled_from("abcde"), CELLS, min_size=2)
# Rows of the US Census Bureau's ACS PUMS, Massachusetts 2015 and 2018 (public domain,
# 17 USC 105), with the predictions in the wheel nannyml 0.13.1 (Apache License 2.0),
# by (tp, fp, fn, tn), counted 2026-11-29.
SEX_2015 = {
    "1": Cells(14899, 2943, 2143, 13109),
    "2": Cells(14721, 4460, 2343, 14167),
}
SEX_2018 = {
    "1": Cells(15370, 2878, 2378, 13254),
    "2": Cells(15120, 4237, 2554, 14340),
}
RACE_2015 = {
    "1": Cells(24888, 6010, 3603, 21618),
    "2": Cells(1491, 412, 282, 1949),
    "3": Cells(20, 7, 7, 37),
    "4": Cells(1, 0, 0, 0),
    "5": Cells(18, 9, 2, 28),
    "6": Cells(1813, 530, 309, 1621),
    "7": Cells(6, 2, 3, 11),
    "8": Cells(821, 261, 183, 1006),
    "9": Cells(562, 172, 97, 1006),
}
RACE_2018 = {
    "1": Cells(25246, 5657, 4017, 22040),
    "2": Cells(1619, 400, 320, 1850),
    "3": Cells(31, 9, 8, 35),
    "4": Cells(1, 0, 0, 0),
    "5": Cells(11, 2, 8, 18),
    "6": Cells(2036, 593, 333, 1735),
    "7": Cells(15, 3, 2, 7),
    "8": Cells(866, 248, 151, 892),
    "9": Cells(665, 203, 93, 1017),
}
LOANS = {"white": Cells(fp=1527, tn=154), "other": Cells(fp=218, tn=90)}
"""Mortgages approved in Boston 1990, the data set loanapp of Wooldridge's Introductory
Econometrics: 1,989 decisions, .908 and .708 approved."""
CREDIT = {"male": Cells(fp=499, tn=191), "female": Cells(fp=201, tn=109)}
"""Good risks of 1,000: Statlog German Credit (Hofmann 1994, UCI, CC BY 4.0)."""


def expanded(groups: dict[str, Cells]) -> tuple[list[int], list[int], list[str]]:
    """Labels, decisions and groups, one for each row."""
    rows = [
        (label, decision, name)
        for name, cells in groups.items()
        for label, decision, count in (
            (1, 1, cells.tp),
            (0, 1, cells.fp),
            (1, 0, cells.fn),
            (0, 0, cells.tn),
        )
        for _ in range(count)
    ]
    return (
        tuple(list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 3
    )


@FEW
@given(GROUPS)
def test_rates_and_spreads_equal_fairlearns(groups: dict[str, Cells]) -> None:
    groups = {name: cells for name, cells in groups.items() if cells.n}
    labels, decisions, names = expanded(groups)
    if len(groups) < 2:
        assert fairness.demographic_parity_difference(groups or {"a": Cells()}) is None
        return
    frame = metrics.MetricFrame(
        metrics={
            "selection": metrics.selection_rate,
            "true positive": metrics.true_positive_rate,
            "false positive": metrics.false_positive_rate,
            "accuracy": accuracy_score,
        },
        y_true=labels,
        y_pred=decisions,
        sensitive_features=names,
    )
    for rate in fairness.RATES:
        for name, found in fairness.rates(groups, rate).items():
            if found is None:
                # fairlearn gives 0 to a group without such rows.
                assert frame.by_group[rate][name] == 0
            else:
                assert found.value == pytest.approx(
                    frame.by_group[rate][name], abs=1e-12
                )
    given = {"y_true": labels, "y_pred": decisions, "sensitive_features": names}
    difference = fairness.demographic_parity_difference(groups, min_group=1)
    assert difference.value == pytest.approx(
        metrics.demographic_parity_difference(**given), abs=1e-12
    )
    ratio = fairness.demographic_parity_ratio(groups, min_group=1)
    if any(decisions):
        assert ratio.value == pytest.approx(
            metrics.demographic_parity_ratio(**given), abs=1e-12
        )
    else:
        assert ratio is None
    odds = fairness.equalized_odds_difference(groups, min_group=1)
    if all(it.tp + it.fn and it.fp + it.tn for it in groups.values()):
        assert odds.value == pytest.approx(
            metrics.equalized_odds_difference(**given), abs=1e-12
        )


@pytest.mark.parametrize(
    ("groups", "difference", "odds"),
    [(SEX_2015, 0.0017, 0.0561), (SEX_2018, 0.0046, 0.0497)],
)
def test_the_census_by_sex(
    groups: dict[str, Cells], difference: float, odds: float
) -> None:
    found = fairness.demographic_parity_difference(groups)
    assert found.value == pytest.approx(difference, abs=5e-5)
    found = fairness.equalized_odds_difference(groups)
    assert found.value == pytest.approx(odds, abs=5e-5)
    assert found.low < odds < found.high


@pytest.mark.parametrize(
    ("groups", "ratio", "verdict"),
    [(RACE_2015, 0.7257, "outside limits"), (RACE_2018, 0.7840, "within limits")],
)
def test_the_census_by_race_is_below_four_fifths(
    groups: dict[str, Cells], ratio: float, verdict: str
) -> None:
    """In 2018 not so far below that its interval does not reach .8."""
    found = fairness.demographic_parity_ratio(groups, min_group=500)
    assert found.value == pytest.approx(ratio, abs=5e-5)
    assert fairness.ratio_verdict(found, 500) == verdict


def test_the_census_groups_of_few_rows_get_no_verdict() -> None:
    found = fairness.compare(
        RACE_2015,
        "selection",
        reference=fairness.best(RACE_2015, "selection", 500),
        min_group=100,
    )
    assert {it.reference for it in found} == {"1"}
    verdicts = {it.group: it.ratio_verdict for it in found}
    few = {name for name, it in verdicts.items() if it == "not enough data"}
    assert few == {"3", "4", "5", "7"}
    outside = {name for name, it in verdicts.items() if it == "outside limits"}
    assert outside == {"9"}


def test_the_loans_and_the_credits_have_their_known_figures() -> None:
    """loanapp: .2006 and .7792; German credit: .0748 and .8966."""
    (other,) = fairness.compare(LOANS, "selection")
    assert other.reference == "white"
    assert round(other.value.value, 4) == 0.7078
    assert round(other.difference.value, 4) == -0.2006
    assert round(other.ratio.value, 4) == 0.7792
    # The ratio is below .8, its interval not wholly; the difference is beyond .1.
    assert other.ratio_verdict == "within limits"
    assert other.difference_verdict == "outside limits"
    (female,) = fairness.compare(CREDIT, "selection")
    assert round(female.difference.value, 4) == -0.0748
    assert round(female.ratio.value, 4) == 0.8966
    assert round(fairness.demographic_parity_ratio(CREDIT).value, 4) == 0.8966
    assert fairness.demographic_parity_difference(LOANS).value == pytest.approx(
        0.2006, abs=5e-5
    )


def alarms_at_equal_rates(selection: float, sizes: list[int]) -> tuple[float, float]:
    """Share of 300 audits outside four fifths: by verdict, and by the bare ratio."""
    random = np.random.default_rng(sizes[0])
    alarms = raw = 0
    for selected in random.binomial(sizes, selection, (300, len(sizes))).tolist():
        groups = {
            str(name): Cells(fp=some, tn=rows - some)
            for name, (some, rows) in enumerate(zip(selected, sizes, strict=True))
        }
        ratio = fairness.demographic_parity_ratio(groups)
        raw += ratio is not None and ratio.value < 0.8
        alarms += fairness.ratio_verdict(ratio, min(sizes)) == "outside limits"
    return alarms / 300, raw / 300


@pytest.mark.parametrize("selection", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("minority", [30, 100, 300])
def test_four_fifths_of_equal_rates_is_seldom_a_false_alarm(
    selection: float, minority: int
) -> None:
    """Without an interval the rule alarms in up to .36; with one in .05 at most."""
    alarms, raw = alarms_at_equal_rates(selection, [minority, 4 * minority])
    assert alarms <= 0.05
    if (selection, minority) == (0.1, 30):
        assert raw > 0.25


def test_many_groups_do_not_alarm_more_often() -> None:
    """The ratio of the two furthest of nine groups; .24 with a pair's interval."""
    alarms, raw = alarms_at_equal_rates(0.1, [30] * 8 + [120])
    assert alarms <= 0.03
    assert raw > 0.9


def test_a_real_breach_is_found() -> None:
    """.30 and .50 selected: 1,000 rows each are enough, 30 are not."""
    for rows, expected in ((1000, "outside limits"), (29, "not enough data")):
        few, many = round(0.3 * rows), round(0.5 * rows)
        groups = {
            "a": Cells(fp=many, tn=rows - many),
            "b": Cells(fp=few, tn=rows - few),
        }
        (found,) = fairness.compare(groups, "selection", reference="a")
        assert (found.ratio_verdict, found.difference_verdict) == (expected, expected)


def test_a_group_without_positives_is_undefined() -> None:
    groups = {"a": Cells(50, 5, 10, 50), "b": Cells(0, 5, 0, 50)}
    (found,) = fairness.compare(groups, "true positive", reference="a")
    assert (found.value, found.difference, found.ratio, found.n) == (
        None,
        None,
        None,
        0,
    )
    assert found.difference_verdict == found.ratio_verdict == "undefined"
    assert fairness.equalized_odds_difference(groups) is None
    # With two other groups the spread is theirs.
    others = groups | {"c": Cells(60, 10, 0, 45)}
    odds = fairness.equalized_odds_difference(others)
    assert odds.value == pytest.approx(1 - 50 / 60)
    # Rates of 0 have a difference but no ratio to them.
    nobody = {"a": Cells(tn=100), "b": Cells(tn=100)}
    (found,) = fairness.compare(nobody, "selection")
    assert found.ratio_verdict == "undefined"
    assert found.difference_verdict == "within limits"
    assert fairness.demographic_parity_ratio(nobody) is None


def test_comparisons_have_the_intervals_of_two_proportions() -> None:
    (found,) = fairness.compare(SEX_2015, "false positive", level=0.9)
    own, other = (2943, 2943 + 13109), (4460, 4460 + 14167)
    assert (found.group, found.reference, found.n) == ("1", "2", 16052)
    assert found.value == intervals.wilson(*own, 0.9)
    assert found.difference == intervals.difference(own, other, 0.9)
    assert found.ratio == intervals.ratio(own, other, 0.9)


def test_intervals_hold_for_all_pairs_at_once() -> None:
    """Of 5 groups with 500 rows and more there are 10 pairs: a level of .995 each."""
    found = fairness.demographic_parity_ratio(RACE_2015, min_group=500)
    low, high = (RACE_2015[name].rate("selection") for name in ("9", "1"))
    assert found == intervals.ratio(low, high, 0.995)
    found = fairness.demographic_parity_difference(RACE_2015, min_group=500)
    assert found == intervals.difference(high, low, 0.995)
    # Of two groups one pair, but two rates; the false positives differ more.
    found = fairness.equalized_odds_difference(SEX_2015)
    false = [SEX_2015[name].rate("false positive") for name in ("2", "1")]
    assert found == intervals.difference(*false, 0.975)
    found = fairness.compare(RACE_2015, "selection", min_group=500)
    ratios = {it.group: it.ratio for it in found}
    assert ratios["9"] == intervals.ratio(low, high, 0.995)


def test_the_reference_is_the_largest_or_the_best_group() -> None:
    groups = {
        "b": Cells(fp=9, tn=1),
        "a": Cells(fp=30, tn=70),
        "c": Cells(fp=50, tn=50),
    }
    assert fairness.largest(groups) == "a"
    assert fairness.best(groups, "selection", 30) == "c"
    assert fairness.best(groups, "selection", 10) == "b"
    assert fairness.best(groups, "selection", 1000) is None


@FEW
@given(CELLS, CELLS)
def test_the_cells_of_two_days_add_up(first: Cells, second: Cells) -> None:
    both = first + second
    assert both.n == first.n + second.n
    for rate in fairness.RATES:
        sums = np.add(first.rate(rate), second.rate(rate)).tolist()
        assert both.rate(rate) == tuple(sums)


def test_wrong_groups_are_refused() -> None:
    with pytest.raises(ValueError, match=r"fn\[0\] = -1: a count is a whole number"):
        Cells(fn=-1)
    with pytest.raises(ValueError, match=r"reference = 'x': none of male, female"):
        fairness.compare(CREDIT, "selection", reference="x")
    with pytest.raises(ValueError, match=r"groups = \{\}: give at least one"):
        fairness.demographic_parity_ratio({})
