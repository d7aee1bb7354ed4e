"""The gate of `slipway optimize`: what each limit lets through, and what it stops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from slipway.optimize.comparison import Comparison, compare, labels_like
from slipway.optimize.gate import Check, Evidence, Limits, judge, passes
from slipway.optimize.latency import speed_ratio
from slipway.optimize.rows import Rows
from slipway.optimize.scoring import Answers
from slipway.optimize.statistics import (
    Interval,
    accuracy_change,
    median_interval,
    stability_index,
)
from toolchain.errors import WrongInputError

LIMITS = Limits()
COUNT = 10_000
Decisions = NDArray[np.int64]


def truth() -> Decisions:
    return np.arange(COUNT) % 2


def wrong(decisions: Decisions, places: Sequence[int] | range) -> Decisions:
    """The decisions with those at some places turned."""
    found = decisions.copy()
    found[list(places)] = 1 - found[list(places)]
    return found


def compared(
    before: Decisions, after: Decisions, groups: NDArray[np.str_] | None = None
) -> Comparison:
    named = {} if groups is None else {"sex": groups}
    rows = Rows((), truth(), named)
    scores = [np.column_stack([1.0 - it, it]).astype(float) for it in (before, after)]
    pair = (
        Answers(it, score) for it, score in zip((before, after), scores, strict=True)
    )
    return compare(*pair, rows)


def evidence(comparison: Comparison, **other: object) -> Evidence:
    calm = replace(comparison, difference=0.0, stability_index=0.0)
    found = Evidence(
        answers={"one by one": calm, "mixed": calm},
        speeds={1: Interval(1.3, 1.2, 1.4), 64: Interval(1.0, 0.95, 1.05)},
        memory_mib=(100.0, 104.0),
        size_bytes=(1000, 400),
    )
    return replace(found, **other)  # type: ignore[arg-type]


def failed(found: Evidence, purpose: str = "speed") -> list[tuple[str, str]]:
    checks = judge(found, LIMITS, purpose)  # type: ignore[arg-type]
    return [(it.measure, it.part) for it in checks if it.passed is False]


SAME = compared(truth(), truth())


def test_a_candidate_that_holds_all_limits_passes() -> None:
    assert passes(judge(evidence(SAME), LIMITS))
    assert passes(judge(evidence(SAME), LIMITS, "size"))


def test_no_check_is_no_pass() -> None:
    assert not passes([])
    assert not passes([Check("loads", "", "no", "yes", False)])


def test_accuracy_fails_where_a_loss_is_possible_and_not_only_where_it_is_certain() -> (
    None
):
    """15 rows of 10,000 lost are .0015, and with their interval more than .002."""
    assert failed(evidence(compared(truth(), wrong(truth(), range(3))))) == []
    found = compared(truth(), wrong(truth(), range(15)))
    assert found.changes["all rows"].accuracy.value == pytest.approx(-0.0015)
    assert failed(evidence(found)) == [("accuracy", "all rows (10,000)")]


def test_accuracy_counts_in_the_worse_manner() -> None:
    one = evidence(SAME)
    lost = compared(truth(), wrong(truth(), range(30)))
    mixed = replace(one.answers["mixed"], changes=lost.changes)
    found = replace(one, answers=one.answers | {"mixed": mixed})
    assert failed(found) == [("accuracy", "all rows (10,000)")]
    (check,) = [it for it in judge(found, LIMITS) if it.passed is False]
    assert (check.found, check.manner) == ("-0.0030 (-0.0041 -0.0019)", "mixed")


def test_a_group_keeps_its_accuracy_while_others_gain() -> None:
    """Overall 40 rows are won; of one group 20 of 4,000 are lost: .005, or more."""
    before = wrong(truth(), range(4000, 4060))
    after = wrong(truth(), range(20))
    groups = np.where(np.arange(COUNT) < 4000, "a", "b")
    found = compared(before, after, groups)
    assert found.changes["all rows"].accuracy.lower > 0
    assert failed(evidence(found)) == [("accuracy", "sex=a (4,000)")]


def test_a_small_group_may_not_be_worse_for_certain() -> None:
    groups = np.where(np.arange(COUNT) < 100, "a", "b")
    one = compared(truth(), wrong(truth(), range(1)), groups)
    assert failed(evidence(one)) == []
    nine = compared(truth(), wrong(truth(), range(9)), groups)
    assert failed(evidence(nine)) == [("accuracy", "sex=a (100)")]


def test_too_few_rows_prove_nothing() -> None:
    few = {"all rows": replace(SAME.changes["all rows"], rows=1999)}
    one = evidence(SAME)
    answers = {name: replace(it, changes=few) for name, it in one.answers.items()}
    assert failed(replace(one, answers=answers)) == [("accuracy", "all rows (1,999)")]


@pytest.mark.parametrize(
    ("name", "most", "measure"),
    [
        ("labels_changed", 0.01, "labels changed"),
        ("stability_index", 0.02, "PSI of scores"),
        ("difference", 0.1, "largest change"),
    ],
)
def test_drift_counts_in_the_worse_manner(name: str, most: float, measure: str) -> None:
    one = evidence(SAME)
    part = "all rows" if name == "labels_changed" else "scores"
    for value, expected in ((most, []), (most * 1.001, [(measure, part)])):
        mixed = replace(one.answers["mixed"], **{name: value})
        assert failed(replace(one, answers=one.answers | {"mixed": mixed})) == expected


def test_a_model_without_scores_is_judged_by_its_labels() -> None:
    found = replace(SAME, difference=None, stability_index=None)
    one = evidence(SAME)
    assert failed(replace(one, answers=dict.fromkeys(one.answers, found))) == []


def test_speed_has_to_be_gained_for_certain_and_lost_nowhere() -> None:
    slow = {1: Interval(1.3, 1.2, 1.4), 64: Interval(0.9, 0.8, 0.969)}
    assert failed(evidence(SAME, speeds=slow)) == [("speed", "64 rows a run")]
    unsure = {1: Interval(1.2, 1.04, 1.4), 64: Interval(1.0, 0.9, 1.1)}
    assert failed(evidence(SAME, speeds=unsure)) == [("gain", "best lower end")]
    assert failed(evidence(SAME, speeds=unsure), "size") == []


def test_memory_and_size() -> None:
    assert failed(evidence(SAME, memory_mib=(100.0, 105.1))) == [
        ("memory", "the process")
    ]
    large = {"size_bytes": (1000, 501)}
    assert failed(evidence(SAME, **large)) == []
    assert failed(evidence(SAME, **large), "size") == [("size", "the weights")]


def test_the_interval_of_accuracy_holds_the_truth() -> None:
    """In at least 93 % of samples, also where few rows change."""
    source = np.random.default_rng(0)
    for lost, gained in ((0.004, 0.003), (0.0005, 0.0005)):
        held = 0
        for _ in range(400):
            drawn = source.random(3000)
            after = drawn >= lost
            before = (drawn < lost) | (drawn >= lost + gained)
            it = accuracy_change(before, after)
            held += it.lower <= gained - lost <= it.upper
        assert held / 400 >= 0.93


def test_rows_that_do_not_change_prove_no_change_of_zero() -> None:
    same = np.ones(500, np.bool_)
    it = accuracy_change(same, same)
    assert it.value == 0
    assert it.lower < -0.002 < 0.002 < it.upper


def test_the_index_of_stability() -> None:
    source = np.random.default_rng(0)
    before = source.random(50_000)
    assert stability_index(before, before) < 1e-9
    # By hand: each of 20 bins had 5 %; now the first ten have 6, the others 4.
    mass = np.where(np.arange(50_000) < 30_000, 0.0, 0.5)
    after = mass + source.random(50_000) / 2
    expected = 10 * (0.01 * math.log(1.2) - 0.01 * math.log(0.8))
    assert stability_index(before, after) == pytest.approx(expected, rel=0.05)
    # Scores that are not probabilities: by deciles, in any unit.
    scaled = stability_index(100 * before - 7, 100 * after - 7)
    assert scaled == pytest.approx(expected, rel=0.05)


def test_rounding_moves_no_row_into_another_bin() -> None:
    """Trees have few scores, each of many rows, which are the deciles too."""
    before = np.repeat(np.arange(5) / 5, 1000)
    after = before + np.where(np.arange(5000) % 2, 1e-7, -1e-7)
    for unit in (1, 100):
        assert stability_index(unit * before, unit * after) < 1e-9


def test_scores_of_which_a_model_is_sure_may_move_by_thousandths() -> None:
    """Most are near 0 or 1, where deciles lie within less than that."""
    source = np.random.default_rng(0)
    near = source.beta(1, 300, 10_000)
    before = np.where(np.arange(10_000) % 2, near, 1 - near)
    after = np.clip(before + source.normal(0, 0.002, 10_000), 0, 1)
    assert stability_index(before, after) < 0.001


def test_the_interval_of_a_median_is_of_ranks() -> None:
    """Of 31 values the 10th and the 22nd: 97 % (binomial tables)."""
    it = median_interval([float(number) for number in range(31, 0, -1)])
    assert (it.lower, it.value, it.upper) == (10, 16, 22)
    with pytest.raises(ValueError, match="5 values have no 95 % interval"):
        median_interval([1.0] * 5)


def test_both_models_are_timed_by_turns() -> None:
    """Each begins every second pair, and other batches come each time."""
    turns: list[tuple[str, tuple[int, ...]]] = []

    def before(_: object) -> list[NDArray[np.generic]]:
        return []

    def after(_: object) -> list[NDArray[np.generic]]:
        return []

    def stopwatch(run: object, batches: Sequence[Sequence[object]]) -> float:
        shown = tuple(int(str(it[0])) for it in batches)
        turns.append(("before" if run is before else "after", shown))
        return 0.003 * len(batches) if run is before else 0.002 * len(batches)

    batches = [[str(number)] for number in range(5)]
    it = speed_ratio(before, after, batches, 31, stopwatch)  # type: ignore[arg-type]
    assert it == Interval(1.5, 1.5, 1.5)
    pairs = [turns[at : at + 2] for at in range(2, len(turns), 2)]
    assert [pair[0][0] for pair in pairs[:4]] == ["before", "after"] * 2
    assert {pair[0][0] for pair in pairs} == {"before", "after"}
    # 5 ms a sample: two runs of 3 ms, three of 2 ms.
    of_first = [batches for name, batches in turns[2:] if name == "before"]
    assert of_first[:3] == [(0, 1), (2, 3), (4, 0)]
    of_second = [batches for name, batches in turns[2:] if name == "after"]
    assert of_second[:2] == [(0, 1, 2), (3, 4, 0)]
    assert len(pairs) == 31


def test_labels_in_the_type_of_decisions() -> None:
    assert labels_like(np.array([True, False]), np.array([0, 1])).tolist() == [1.0, 0.0]
    found = labels_like(np.array(["yes", "no"]), np.array(["yes", "no"]))
    assert found.tolist() == ["yes", "no"]
    for labels, decisions in (
        (np.array(["yes", "no"], object), np.array([0, 1])),
        (np.array([3, 4]), np.array([0, 1])),
    ):
        with pytest.raises(WrongInputError, match="no label is a decision") as caught:
            labels_like(labels, decisions)
        assert "decisions 0, 1" in str(caught.value)
