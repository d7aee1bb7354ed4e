"""Gates of predictions by cohort: late labels, groups of people, and scores."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import yaml
from rollout import monitor, record, scores_gate
from rollout.cohorts import SHIPPED_SECONDS, Cohorts, Scores, What
from rollout.contrast import Contrast
from rollout.counts import Interval, Series, Tally
from rollout.difference import Difference
from rollout.facts import Facts, Ready
from rollout.gate import Call, judge
from rollout.settings import (
    ErrorsAllowed,
    Gate,
    SettingsError,
    read,
)
from rollout.verdict import Verdict, weigh

from pod_parts.api_server import ApiError
from tests.support.cohorts import (
    ACCURACY,
    GAP,
    HOUR,
    LABELLED,
    LABELS_HOURS,
    QUALITY,
    SELECTION,
    SPREAD,
)
from tests.support.rollout_api import Served, serve
from tests.support.rollouts import SETTINGS
from toolchain import paths


def one(start: int, **changes: Any) -> dict[str, Any]:
    found = {
        "start": start,
        "answered": 100,
        "labelled": 90,
        "right": 80,
        "cells": [30, 6, 4, 50],
        "scores": [10] * 10,
        "groups": {"sex": {"1": [60, 30, 20, 15], "2": [40, 10, 10, 6]}},
    }
    return found | changes


def answer(**revisions: Any) -> dict[str, Any]:
    return {"model": "m", "seconds": HOUR, "revisions": revisions, "pairs": {}}


def counted(
    content: Any, *gates: Gate, now: int = 100 * HOUR, since: int = 0
) -> dict[str, Series]:
    settings = replace(LABELLED, gates=gates)
    with serve(Served({}, intervals=content)) as api:
        return monitor.read_counts(api, settings, since, now)


@pytest.mark.parametrize(
    ("what", "tally"),
    [
        (What.ACCURACY, Tally(90, 10)),
        (What.RECALL, Tally(34, 4)),
        (What.PRECISION, Tally(36, 6)),
        (What.SELECTION, Tally(40, 30)),
        (What.TRUE_POSITIVE, Tally(10, 4)),
        (What.SCORES, Tally(100, 0)),
    ],
)
def test_each_gate_counts_its_own_good_and_bad(what: What, tally: Tally) -> None:
    gate = replace(GAP, cohorts=replace(SELECTION, what=what))
    (series,) = counted(answer(a=[one(0)], b=[one(0)]), gate).values()
    assert series.intervals == (Interval(0, tally, tally),)
    rest = {What.SELECTION: Tally(60, 30), What.TRUE_POSITIVE: Tally(20, 5)}
    others = (Interval(0, rest[what], rest[what]),) if what in rest else ()
    assert series.others == others
    assert bool(series.scores) is (what is What.SCORES)


def test_only_intervals_of_both_revisions_that_are_over_count() -> None:
    content = answer(
        a=[one(0), one(HOUR), one(3 * HOUR)],
        b=[one(HOUR), one(2 * HOUR), one(3 * HOUR)],
    )
    (series,) = counted(content, QUALITY, now=4 * HOUR - 1).values()
    assert [it.start for it in series.intervals] == [HOUR]


def test_coverage_is_that_of_due_intervals_and_of_the_revision_with_fewer() -> None:
    now = (LABELS_HOURS + 2) * HOUR
    content = answer(
        a=[one(0), one(HOUR), one(2 * HOUR, labelled=0, right=0)],
        b=[
            one(0, labelled=50, right=50),
            one(HOUR),
            one(2 * HOUR, labelled=0, right=0),
        ],
    )
    (series,) = counted(content, QUALITY, now=now).values()
    assert series.due == 2 * HOUR
    assert series.coverage == pytest.approx(140 / 200)
    assert len(series.intervals) == 3
    (series,) = counted(content, QUALITY, now=HOUR).values()
    assert series.coverage is None


def test_a_withheld_group_counts_for_nothing() -> None:
    content = answer(a=[one(0, groups={})], b=[one(0)])
    (series,) = counted(content, GAP).values()
    assert series.intervals == (Interval(0, Tally(40, 30), Tally(0, 0)),)
    assert series.others == (Interval(0, Tally(60, 30), Tally(0, 0)),)
    contrast = Contrast()
    contrast.add_both(series.intervals[0], series.others[0])
    assert contrast.intervals == 0


@pytest.mark.parametrize(
    "content",
    [
        {"seconds": 60, "revisions": {}},
        {"seconds": HOUR},
        {"seconds": HOUR, "revisions": []},
        answer(a=[one(0)], b=[{"start": 0}]),
        answer(a=[one(0)], b=[one(0, right=91)]),
        answer(a=[one(0)], b=[one(0, right="x")]),
    ],
)
def test_another_answer_is_an_error(content: Any) -> None:
    with pytest.raises(ApiError, match="something else"):
        counted(content, QUALITY)


def test_a_contrast_leaves_out_what_is_worse_for_everybody() -> None:
    contrast, difference = Contrast(), Difference()
    for hour in range(40):
        group = Interval(hour, Tally(100, 30), Tally(400, 80))
        others = Interval(hour, Tally(300, 60), Tally(900, 90))
        contrast.add_both(group, others)
        difference.add(group)
    assert contrast.estimate == pytest.approx(0.0, abs=1e-12)
    assert difference.estimate == pytest.approx(0.1)
    low, high = contrast.bounds(0.05)
    assert -0.05 < low < 0 < high < 0.05
    # The binomial variance of four rates, by hand.
    rates = ((110 + 1) / 502, (150 + 1) / 1202)
    cells = ((100, 400), (300, 900))
    variance = sum(
        p * (1 - p) / n for p, both in zip(rates, cells, strict=True) for n in both
    )
    assert contrast.error == pytest.approx(math.sqrt(variance / 40))


def gap(rows: int, canary: int, stable: int, hours: int = 40) -> Series:
    """So many of `rows` of the group are not selected; of the others 40 %."""
    group = Interval(0, Tally(rows, canary), Tally(rows, stable))
    others = Interval(0, Tally(500, 200), Tally(500, 200))
    return Series(
        tuple(replace(group, start=hour * HOUR) for hour in range(hours)),
        due=hours * HOUR,
        others=tuple(replace(others, start=hour * HOUR) for hour in range(hours)),
    )


def judged(gate: Gate, series: Series, min_intervals: int = 30) -> Any:
    how = scores_gate.judge if gate is SPREAD else judge
    return how(gate, series, ErrorsAllowed(), gates=2, min_intervals=min_intervals)


def test_a_gap_that_widens_is_taken_back_and_an_equal_one_promoted() -> None:
    assert judged(GAP, gap(200, 120, 80)).call is Call.ROLLBACK
    equal = judged(GAP, gap(200, 80, 80))
    assert equal.call is Call.PROMOTE
    assert equal.evidence == 1.0
    few = judged(GAP, gap(4, 2, 2))
    assert (few.call, few.reason) == (Call.HOLD, "160 requests of 200")


def spread(canary: list[int], stable: list[int], hours: int = 40) -> Series:
    rows = [Scores(it * HOUR, tuple(canary), tuple(stable)) for it in range(hours)]
    one = Interval(0, Tally(sum(canary), 0), Tally(sum(stable), 0))
    return Series(
        tuple(replace(one, start=it.start) for it in rows),
        due=hours * HOUR,
        scores=tuple(rows),
    )


def test_other_scores_hold_and_never_take_back() -> None:
    flat, high = [100] * 10, [20] * 5 + [180] * 5
    same = judged(SPREAD, spread(flat, flat))
    assert (same.call, same.estimate) == (Call.PROMOTE, 0.0)
    other = judged(SPREAD, spread(high, flat))
    assert other.call is Call.HOLD
    assert other.estimate == pytest.approx(0.4)
    assert "a person decides" in other.reason
    # In both directions, and whatever is not due.
    assert judged(SPREAD, spread(flat, high)).call is Call.HOLD
    early = replace(spread(high, flat), due=0)
    assert judged(SPREAD, early).reason == "0 intervals of 30"
    assert judged(SPREAD, spread(flat, flat, hours=9)).reason == "9 intervals of 30"
    few = judged(SPREAD, spread([2] * 10, flat))
    assert few.reason == "800 requests of 1000"
    near = judged(SPREAD, spread([60, *[30] * 9], [30] * 10, hours=10), min_intervals=9)
    assert near.reason.startswith("scores may lie apart")


def hours(canary: int, stable: int, count: int, start: int = 0) -> list[Interval]:
    return [
        Interval((start + it) * HOUR, Tally(1000, canary), Tally(1000, stable))
        for it in range(count)
    ]


def test_a_promotion_rests_on_due_cohorts_and_harm_on_all() -> None:
    good = hours(150, 150, 40)
    assert judged(QUALITY, Series(tuple(good), 0.9, due=40 * HOUR)).call is Call.PROMOTE
    waits = judged(QUALITY, Series(tuple(good), 0.9, due=29 * HOUR))
    assert (waits.call, waits.reason) == (Call.HOLD, "29 intervals of 30")
    # What comes early looks good; what is due says nothing of it.
    early = [*hours(200, 150, 20), *hours(0, 150, 40, start=20)]
    series = Series(tuple(early), 0.9, due=20 * HOUR)
    assert judged(QUALITY, series, min_intervals=10).call is Call.HOLD
    harm = Series(tuple(hours(200, 150, 12)), None, due=0)
    assert judged(QUALITY, harm).call is Call.ROLLBACK


def test_without_enough_labels_nothing_is_promoted() -> None:
    good = tuple(hours(150, 150, 40))
    few = judged(QUALITY, Series(good, 0.79, due=40 * HOUR))
    assert few.reason == "79% of the predictions have labels; 80% are needed"
    assert judged(QUALITY, Series(good, None, due=40 * HOUR)).call is Call.HOLD


def facts(series: Series, hour: int, **changes: Any) -> Facts:
    found = Facts(
        now=hour * HOUR,
        begun=0,
        started=0,
        step=0,
        weight=25,
        ready=Ready(9, 9),
        counts={"quality": series},
    )
    return replace(found, **changes)


def test_a_log_that_has_ended_holds() -> None:
    good = Series(tuple(hours(150, 150, 40)), 0.9, due=40 * HOUR)
    due = ACCURACY.due(64 * HOUR)
    assert due == 40 * HOUR
    assert weigh(LABELLED, facts(good, 64)).verdict is Verdict.PROMOTE
    assert weigh(LABELLED, facts(good, 65)).verdict is Verdict.PROMOTE
    silent = weigh(LABELLED, facts(good, 67))
    assert silent.verdict is Verdict.HOLD
    assert silent.reason == (
        "quality: the newest intervals have no predictions of both revisions"
    )
    # Without the monitor there are no counts.
    assert weigh(LABELLED, facts(good, 64, counts={})).reason == (
        "quality: there are no counts"
    )


def test_copies_are_not_judged_by_gates_of_predictions() -> None:
    """The monitor counts no copy, so what it has of the canary says nothing."""
    errors = Gate("errors", 0.005)
    settings = replace(LABELLED, gates=(errors, QUALITY), shadow_percent=20)
    asked = Tally(1000, 0)
    length = settings.interval_seconds
    clean = Series(tuple(Interval(it * length, asked, asked) for it in range(64)))
    harm = Series(tuple(hours(400, 150, 40)), 0.1, due=40 * HOUR)
    copies = facts(harm, 64, step=-1, weight=0, mirror=20)
    outcome = weigh(settings, replace(copies, counts={"errors": clean}))
    assert (outcome.verdict, outcome.reason) == (
        Verdict.PROMOTE,
        "errors: worse by at most 0.00 points",
    )
    both = {"errors": clean, "quality": harm}
    assert weigh(settings, replace(copies, counts=both)) == outcome
    few = both | {"errors": Series(clean.intervals[:5])}
    early = weigh(settings, replace(copies, now=5 * HOUR, counts=few))
    assert (early.verdict, early.lacks_data) == (Verdict.HOLD, False)
    requests = facts(harm, 64, counts=both)
    assert weigh(settings, requests).verdict is Verdict.ROLLBACK


def test_copies_need_a_gate_that_counts_them() -> None:
    with pytest.raises(SettingsError, match="no gate compares copies"):
        read(replace(LABELLED, shadow_percent=20).plain())


def test_what_needs_no_labels_waits_for_the_log() -> None:
    now = 10 * HOUR + SHIPPED_SECONDS
    assert SELECTION.due(now) == 10 * HOUR
    assert SELECTION.due(now - 1) == 9 * HOUR
    assert SELECTION.due(0) == 0
    quick = replace(SELECTION, shipped_seconds=30)
    assert quick.due(10 * HOUR + 30) == 10 * HOUR
    assert Cohorts.of(quick.plain()) == quick
    assert "shipped_seconds" not in SELECTION.plain()


def test_a_verdict_is_computed_again_from_its_record() -> None:
    settings = replace(LABELLED, gates=(QUALITY, GAP, SPREAD))
    assert read(json.loads(json.dumps(settings.plain()))) == settings
    counts = {
        "quality": Series(tuple(hours(150, 150, 40)), 0.9, due=40 * HOUR),
        GAP.name: gap(200, 130, 80),
        "scores": spread([100] * 10, [100] * 10),
    }
    seen = facts(counts["quality"], 64, counts=counts)
    outcome = weigh(settings, seen)
    assert outcome.verdict is Verdict.ROLLBACK
    assert outcome.reason.startswith("fairness sex=2: worse in the long run")
    entry = record.entry(
        "m-1", settings, seen, outcome, goal=0, order=None, previous=""
    )
    entry = json.loads(json.dumps(entry))
    assert record.recompute(entry) == (outcome, [])
    entry["facts"]["counts"][GAP.name]["others"][0][2] += 9
    assert record.recompute(entry)[1]


def test_settings_of_the_gateways_gates_are_the_same_ones_as_before() -> None:
    """Another digest would stop the rollouts that run when the controller is new."""
    assert "cohorts" not in SETTINGS.plain()["gates"][0]
    assert SETTINGS.generation == "9dab305698ad0b36"
    assert Series((), due=None).plain() == {"coverage": "", "intervals": []}


def test_rows_of_all_gates_have_room_in_a_record() -> None:
    wide = replace(LABELLED, gates=(QUALITY, GAP, SPREAD), deadline_hours=720)
    assert read(wide.plain()) == wide  # 7 rows an hour
    minutes = replace(GAP, cohorts=replace(SELECTION, interval_seconds=60))
    with pytest.raises(SettingsError, match="can be read and recorded"):
        read(replace(wide, gates=(minutes,)).plain())


@pytest.mark.parametrize(
    ("cohorts", "text"),
    [
        (replace(ACCURACY, labels_seconds=0), "needs labels"),
        (replace(ACCURACY, interval_seconds=0), "give at least 10"),
        (replace(SELECTION, group=""), "compares a group"),
    ],
)
def test_cohorts_that_are_none_are_refused(cohorts: Cohorts, text: str) -> None:
    gate = replace(QUALITY, cohorts=cohorts)
    with pytest.raises(SettingsError, match=text):
        read(replace(LABELLED, gates=(gate,)).plain())


def test_the_answers_above_are_those_of_the_contract() -> None:
    """tests/monitor/test_intervals.py compares the monitor's own with it."""
    path = paths.ROOT / "contracts" / "revision_intervals.yaml"
    contract = yaml.safe_load(path.read_text())
    assert list(one(0)) == list(contract["interval"])
    assert list(answer()) == list(contract["fields"])
    assert len(one(0)["groups"]["sex"]["1"]) == len(contract["group"])
