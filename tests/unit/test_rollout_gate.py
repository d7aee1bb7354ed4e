"""What a gate makes of counts, by examples with known answers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from rollout import gate, sample_ratio
from rollout.counts import Interval, Series, Tally
from rollout.culprit import RATIOS, Culprit
from rollout.difference import Difference, radius_in_errors
from rollout.gate import Call
from rollout.settings import ErrorsAllowed, Gate, RollbackWhen

ERRORS = Gate("errors", 0.005)


def interval(n1: int, x1: int, n0: int, x0: int) -> Interval:
    return Interval(0, Tally(n1, x1), Tally(n0, x0))


def difference(*intervals: Interval, paired: bool = False) -> Difference:
    found = Difference(paired=paired)
    for one in intervals:
        found.add(one)
    return found


def judge(one: Gate, *intervals: Interval, gates: int = 1) -> gate.Judgement:
    series = Series(intervals)
    return gate.judge(one, series, ErrorsAllowed(), gates=gates, min_intervals=30)


def test_no_count_is_impossible() -> None:
    for total, bad in ((5, 6), (5, -1), (-1, -1)):
        with pytest.raises(ValueError, match="bad of"):
            Tally(total, bad)


def test_revisions_are_compared_inside_each_interval() -> None:
    """Pooled, the canary of this ramp has 1.7 times the errors of stable."""
    quiet, busy = interval(100, 1, 1900, 19), interval(1000, 100, 1000, 100)
    found = difference(quiet, busy)
    assert found.estimate == pytest.approx(0, abs=1e-12)
    assert (101 / 1100) / (119 / 2900) > 1.7


def test_the_estimate_is_mantel_and_haenszels() -> None:
    found = difference(interval(100, 4, 300, 3), interval(200, 2, 200, 4))
    first, second = 75.0, 100.0
    expected = (first * (0.04 - 0.01) + second * (0.01 - 0.02)) / (first + second)
    assert found.estimate == pytest.approx(expected)
    between = first**2 * (0.03 - expected) ** 2 + second**2 * (-0.01 - expected) ** 2
    between *= 2 / (first + second) ** 2
    share = (first * 7 / 400 + second * 6 / 400) / (first + second)
    within = share * (1 - share) / (first + second)
    assert found.error == pytest.approx(math.sqrt(max(between, within)))


def test_pairs_vary_by_the_pairs_that_differ() -> None:
    """Equal pairs say nothing: 40 against 20 of 1,000 is what McNemar sees."""
    found = difference(*[interval(1000, 40, 1000, 20)] * 4, paired=True)
    assert found.estimate == pytest.approx(0.02)
    assert found.error == pytest.approx(math.sqrt((0.06 - 0.02**2) / 4000))


@pytest.mark.parametrize(
    ("intervals", "allowed", "expected"),
    [(10, 0.05, 3.0787), (20, 0.05, 3.0351), (60, 0.0125, 3.5607), (200, 0.05, 3.2463)],
)
def test_the_width_of_the_bounds_is_what_another_program_says(
    intervals: int, allowed: float, expected: float
) -> None:
    """AsymptoticCS(t_opt=20) of ville 0.1.0, which finds the tuning numerically."""
    width = radius_in_errors(intervals, allowed)
    assert width == pytest.approx(expected, rel=2e-3)


def test_one_interval_has_no_bounds_and_an_empty_one_counts_for_nothing() -> None:
    found = difference(interval(10, 1, 10, 0), interval(0, 0, 10, 0))
    assert found.intervals == 1
    assert found.bounds(0.05) == (-math.inf, math.inf)


def test_the_culprit_is_found_by_its_share_of_the_bad_requests() -> None:
    canary, both = Culprit(), Culprit()
    for _ in range(5):
        canary.add(interval(100, 4, 900, 0))
        both.add(interval(100, 2, 900, 18))
    likelihood = [(q / (0.1 * q + 0.9)) ** 20 for q in RATIOS]
    assert canary.evidence == pytest.approx(sum(likelihood) / len(RATIOS))
    assert both.evidence < 1


def test_shared_incidents_are_nobodys_fault() -> None:
    found = judge(ERRORS, *[interval(1000, 500, 9000, 4500)] * 40)
    assert found.evidence < 1
    assert found.call is Call.HOLD


def test_the_fast_lane_needs_evidence_and_size() -> None:
    one = interval(1000, 40, 9000, 18)
    assert judge(ERRORS, one).call is Call.ROLLBACK
    # The same evidence in a million requests is not harm that anybody feels.
    small = interval(100_000, 140, 900_000, 180)
    found = judge(ERRORS, small)
    assert found.evidence > 1e6
    assert found.call is Call.HOLD


def test_more_gates_ask_for_more_evidence() -> None:
    one = interval(1000, 15, 9000, 18)
    evidence = judge(ERRORS, one).evidence
    assert evidence > 200
    enough = int(evidence / 200)
    loose = replace(ERRORS, tolerate=0.001)
    assert judge(loose, one, gates=enough).call is Call.ROLLBACK
    assert judge(loose, one, gates=enough + 1).call is Call.HOLD


def test_one_bad_interval_is_no_reason_for_the_slow_lane() -> None:
    """Its size is there; that it happens to the canary alone is seen once."""
    calm = [interval(1000, 2, 9000, 18)] * 29
    found = judge(replace(ERRORS, tolerate=0.05), *calm, interval(1000, 900, 9000, 18))
    assert found.estimate > 0.02
    assert found.lower < 0
    assert found.call is Call.HOLD


def test_small_harm_is_proven_in_time_and_may_be_tolerated() -> None:
    worse = [interval(1000, 6, 9000, 18)] * 200
    assert judge(ERRORS, *worse).call is Call.ROLLBACK
    patient = replace(ERRORS, rollback_when=RollbackWhen.WORSE_THAN_TOLERATED)
    found = judge(patient, *worse)
    assert found.lower > 0
    assert found.call is Call.HOLD
    assert "tolerated" in found.reason
    more = [interval(1000, 9, 9000, 18)] * 200
    assert judge(patient, *more).call is Call.ROLLBACK


def test_a_promotion_needs_time_requests_and_a_bound() -> None:
    fine = interval(1000, 2, 9000, 18)
    assert judge(ERRORS, *[fine] * 29).reason == "29 intervals of 30"
    assert judge(ERRORS, *[fine] * 30).call is Call.PROMOTE
    few = interval(30, 0, 270, 0)
    assert judge(ERRORS, *[few] * 30).reason == "900 requests of 1000"
    strict = replace(ERRORS, tolerate=0.001)
    assert judge(strict, *[few] * 30).reason == "900 requests of 5000"
    spread = [interval(1000, bad, 9000, 18) for bad in (0, 4)] * 15
    assert "may be worse by" in judge(strict, *spread).reason


def test_labels_that_are_few_or_unknown_hold() -> None:
    labelled = replace(ERRORS, min_coverage=0.6)
    fine = (interval(1000, 2, 9000, 18),) * 40
    for coverage, call in ((0.7, Call.PROMOTE), (0.5, Call.HOLD), (None, Call.HOLD)):
        found = gate.judge(
            labelled,
            Series(fine, coverage),
            ErrorsAllowed(),
            gates=1,
            min_intervals=30,
        )
        assert found.call is call


def test_all_gates_promote_and_any_rolls_back() -> None:
    fine = judge(ERRORS, *[interval(1000, 2, 9000, 18)] * 30)
    held, back = (replace(fine, call=it) for it in (Call.HOLD, Call.ROLLBACK))
    assert gate.of_all([fine, fine])[0] is Call.PROMOTE
    assert gate.of_all([fine, held])[0] is Call.HOLD
    assert gate.of_all([held, back, fine])[0] is Call.ROLLBACK


def test_a_sample_ratio_that_is_not_the_weight_is_noticed() -> None:
    assert sample_ratio.evidence(120_000, 1_080_000, 0.1) < 1
    assert sample_ratio.evidence(132_000, 1_068_000, 0.1) >= sample_ratio.ALARM
    assert sample_ratio.evidence(10, 10, 1.0) == 1


def test_the_slow_lane_waits_for_some_intervals() -> None:
    tolerant = replace(ERRORS, tolerate=0.05)
    worse = interval(1000, 40, 9000, 18)
    assert judge(tolerant, *[worse] * 9).call is Call.HOLD
    assert judge(tolerant, *[worse] * 10).call is Call.ROLLBACK
