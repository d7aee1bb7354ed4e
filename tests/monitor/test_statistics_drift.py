"""The decision on drift, on the census and by hand; alarms are counted next door."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_monitor.statistics import divergence, drift
from model_monitor.statistics.drift import Feature, decide, persistent
from scipy import stats
from statsmodels.stats import multitest

FEW = settings(max_examples=60, deadline=None)
# fmt: off
AGES_2015 = [
    609, 593, 607, 606, 634, 638, 657, 738, 713, 709, 743, 738, 710, 752, 816, 784,
    882, 888, 1116, 1306, 1168, 1098, 966, 907, 838, 901, 933, 863, 792, 824, 834, 905,
    800, 844, 778, 799, 718, 760, 738, 721, 731, 768, 798, 808, 922, 931, 857, 851, 937,
    979, 1075, 972, 984, 1028, 1074, 1094, 1029, 1013, 977, 1078, 1018, 956, 960, 969,
    930, 908, 833, 861, 802, 693, 710, 619, 636, 579, 475, 403, 412, 378, 412, 366, 363,
    333, 348, 297, 254, 263, 275, 227, 204, 206, 156, 161, 0, 0, 446, 0, 0, 0, 0, 0,
]
AGES_2018 = [
    563, 609, 628, 607, 623, 673, 676, 649, 725, 710, 706, 712, 758, 762, 771, 830, 796,
    820, 1180, 1291, 1084, 1123, 910, 918, 922, 867, 915, 917, 881, 879, 983, 912, 893,
    870, 825, 887, 782, 782, 757, 782, 830, 794, 718, 740, 768, 801, 838, 902, 836, 926,
    924, 932, 994, 937, 1036, 1044, 1081, 1125, 1037, 1021, 1022, 987, 1041, 1048, 949,
    954, 934, 875, 892, 826, 862, 905, 683, 579, 599, 620, 498, 421, 387, 368, 344, 394,
    314, 288, 223, 252, 231, 209, 214, 176, 147, 101, 0, 0, 0, 526, 0, 0, 0, 0,
]
# fmt: on
"""Residents of Massachusetts by age from 0 (AGEP): ACS PUMS of the US Census Bureau,
2015 and 2018 (public domain, 17 USC 105), counted 2026-11-29. All of 92 and more are
94 in 2015 and 95 in 2018."""
EVEN = [1000] * 10


def by_five_years(ages: list[int]) -> list[int]:
    return np.reshape(ages, (20, 5)).sum(axis=1).tolist()


def test_the_ages_of_the_census_are_the_known_ones() -> None:
    assert (sum(AGES_2015), sum(AGES_2018)) == (68_785, 70_131)
    distance, p = divergence.ks(AGES_2015, AGES_2018)
    assert distance == pytest.approx(0.0166, abs=5e-5)
    assert p == pytest.approx(1e-8, rel=0.1)


@pytest.mark.parametrize("cells", [list, by_five_years])
def test_the_ages_of_2018_stay_silent(cells) -> None:
    """The population is three years older and the model is as good: no alarm.

    The population stability index, 0.06 to 0.11, is above what 0.2 sd give: the oldest
    have another code, a cell that the reference does not have.
    """
    feature = Feature("AGEP", "number", cells(AGES_2015), cells(AGES_2018))
    (found,) = decide([feature])
    assert found.p < 1e-8
    assert 0.025 < found.effect < 0.035
    assert (found.detected, found.reason) == (False, "below the floor")
    assert divergence.psi(feature.reference, feature.current) > 0.05


def test_a_shift_is_detected_and_no_shift_is_not() -> None:
    shifted = [60, 70, 80, 90, 100, 100, 110, 120, 130, 140]
    still = [95, 105, 98, 102, 100, 100, 99, 101, 97, 103]
    found = decide(
        [
            Feature("still", "number", EVEN, still),
            Feature("shifted", "number", EVEN, shifted),
        ]
    )
    assert [it.name for it in found] == ["still", "shifted"]
    assert [it.detected for it in found] == [False, True]
    assert [it.reason for it in found] == ["not significant", "values differ"]
    assert [it.n for it in found] == [1000, 1000]
    p = [
        stats.chi2_contingency([EVEN, it], correction=False).pvalue
        for it in (still, shifted)
    ]
    assert [it.p for it in found] == pytest.approx(p, rel=1e-9)
    # Half the distances, each less the variance .1 * .9 * (1/1000 + 1/10000) squared.
    apart = np.abs(np.array(shifted) / 1000 - 0.1)
    together = (np.array(shifted) + 1000) / 11000
    variance = together * (1 - together) * (1 / 1000 + 1 / 10000)
    effect = np.sqrt(np.maximum(0, apart**2 - variance)).sum() / 2
    assert found[1].effect == pytest.approx(effect, abs=1e-12)


def test_p_values_are_adjusted_over_all_checks_of_all_features() -> None:
    random = np.random.default_rng(1)
    features = [
        Feature(
            str(number),
            "category",
            random.multinomial(5000, [0.25] * 4),
            random.multinomial(
                500, [0.25 + 0.01 * number, 0.25, 0.25, 0.25 - 0.01 * number]
            ),
            missing=(50, 5 + number),
            outside=(0, number),
        )
        for number in range(6)
    ]
    found = [check for it in decide(features) for check in it.checks]
    assert len(found) == 3 * 6 - 1
    adjusted = multitest.multipletests([it.p for it in found], method="fdr_bh")[1]
    assert [it.adjusted_p for it in found] == pytest.approx(adjusted, abs=1e-12)
    for check in found:
        floor = drift.EFFECT_FLOOR if check.name == "values" else drift.SHARE_FLOOR
        assert check.floor == floor
        assert check.detected == (
            check.adjusted_p < drift.ALPHA and check.effect >= floor
        )


@pytest.mark.parametrize(
    ("missing", "outside", "reason"),
    [
        ((100, 10), (0, 0), "not significant"),
        ((100, 40), (0, 0), "missing rate differs"),
        ((0, 0), (0, 30), "outside rate differs"),
        ((3000, 0), (0, 0), "missing rate differs"),
        # 50,000 rows would make .8 % significant, but they are few.
        ((0, 8), (0, 0), "below the floor"),
    ],
)
def test_missing_and_outside_rows_are_checked_apart(
    missing: tuple[int, int], outside: tuple[int, int], reason: str
) -> None:
    feature = Feature("x", "number", EVEN, [100] * 10, missing=missing, outside=outside)
    (found,) = decide([feature])
    (check,) = [it for it in found.checks if it.name != "values"]
    assert found.n == 1000 + missing[1] + outside[1]
    # The reference has ten times the rows with a value.
    before, now = missing if any(missing) else outside
    assert check.rises == (now > before / 10)
    if reason == "below the floor":
        assert check.adjusted_p < drift.ALPHA
        assert not found.detected
        return
    assert found.reason == reason
    assert found.detected == (reason != "not significant")
    if found.detected:
        part = missing if any(missing) else outside
        p = stats.fisher_exact([part, [10000, 1000]]).pvalue
        assert (found.check, found.p) == (check.name, pytest.approx(p))


def test_rows_outside_are_a_cell_of_the_values_too() -> None:
    feature = Feature("x", "category", [500, 500], [440, 440], outside=(0, 120))
    values, outside = decide([feature])[0].checks
    table = [[500, 500, 0], [440, 440, 120]]
    assert values.p == pytest.approx(stats.chi2_contingency(table).pvalue, rel=1e-9)
    expected = divergence.total_variation(*table, corrected=True)
    assert values.effect == pytest.approx(expected, abs=1e-12)
    # .12 of the rows, less their variance .06 * .94 * 2/1000.
    assert outside.effect == pytest.approx((0.12**2 - 0.06 * 0.94 / 500) ** 0.5)


def test_too_few_rows_are_said_to_be_so() -> None:
    """And do not count where p-values are adjusted."""
    shifted = [60, 70, 80, 90, 100, 100, 110, 120, 130, 140]
    features = [
        Feature("few", "number", EVEN, [9] * 10),
        Feature("small reference", "number", [9] * 10, [100] * 10),
        Feature("none", "category", [], []),
        Feature("all missing", "number", EVEN, [0] * 10, missing=(0, 500)),
        Feature("shifted", "number", EVEN, shifted),
    ]
    found = {it.name: it for it in decide(features)}
    for name in ("few", "none"):
        assert found[name].reason == "not enough rows"
    assert found["small reference"].reason == "not enough reference rows"
    for name in ("few", "small reference", "none"):
        it = found[name]
        assert (it.effect, it.p, it.adjusted_p, it.detected) == (None,) * 3 + (False,)
    assert found["all missing"].reason == "missing rate differs"
    assert found["shifted"].adjusted_p == found["shifted"].p
    assert decide(features[:1], min_rows=90)[0].reason == "not significant"
    assert decide([]) == []


def test_the_settings_decide() -> None:
    """A shift with an effect of .066 and a p of 8e-9."""
    shifted = [70, 75, 85, 95, 100, 105, 105, 115, 120, 130]
    feature = Feature("x", "number", EVEN, shifted)
    (found,) = decide([feature])
    assert found.detected
    (found,) = decide([feature], effect_floor=found.effect + 1e-9)
    assert found.reason == "below the floor"
    (found,) = decide([feature], alpha=found.p)
    assert found.reason == "not significant"
    missing = Feature("x", "number", EVEN, [100] * 10, missing=(0, 20))
    assert decide([missing])[0].detected
    assert not decide([missing], share_floor=0.03)[0].detected


@FEW
@given(st.lists(st.booleans(), max_size=8))
def test_drift_is_persistent_in_2_of_the_last_3_windows(history: list[bool]) -> None:
    assert persistent(history) == (history[-3:].count(True) >= 2)
    assert persistent(history, 1, 1) == (history[-1:] == [True])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: decide([Feature("age", "number", [1, -1], [1, 1])]),
            r"age.reference\[1\] = -1: a count is a whole number",
        ),
        (
            lambda: decide([Feature("age", "number", [1, 1], [math.nan, 1])]),
            r"age.current\[0\] = nan: a count is a whole number",
        ),
        (
            lambda: decide([Feature("age", "number", [1], [1], missing=(0, -3))]),
            r"age.missing\[1\] = -3: a count is a whole number",
        ),
        (
            lambda: decide([Feature("age", "number", [1], [1, 2])]),
            "age: must have one length, but reference has 1, current has 2",
        ),
        (lambda: decide([], alpha=0), "alpha = 0: must lie between 0 and 1"),
        (lambda: persistent([], 3, 2), "needed = 3, of = 2: must be 1 <= needed <= of"),
    ],
)
def test_wrong_values_are_refused_with_what_was_given(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
