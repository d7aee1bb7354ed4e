"""Gates of pairs: a copy's answer beside its original's, in the shadow step alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml
from rollout import explain, monitor, record, scores_gate
from rollout.cohorts import Cohorts, What
from rollout.counts import Interval, Series, Tally
from rollout.facts import Facts, Ready
from rollout.gate import Call, Judgement, judge
from rollout.history import points
from rollout.pairs_gate import judge as judge_changes
from rollout.settings import (
    ErrorsAllowed,
    Gate,
    RollbackWhen,
    Settings,
    SettingsError,
    read,
)
from rollout.verdict import Verdict, weigh

from pod_parts.api_server import ApiError
from tests.support.cohorts import HOUR, LABELLED, LABELS_HOURS, QUALITY
from tests.support.rollout_api import Served, serve
from toolchain import paths

DECISIONS = Gate(
    "pairs decisions",
    0.1,
    paired=True,
    min_coverage=0.9,
    cohorts=Cohorts(What.PAIRED_DECISIONS, "m", HOUR),
)
SCORES = replace(
    DECISIONS,
    name="pairs scores",
    cohorts=Cohorts(What.PAIRED_SCORES, "m", HOUR, above="0.05"),
)
ACCURACY = Gate(
    "pairs accuracy",
    0.02,
    RollbackWhen.WORSE_THAN_TOLERATED,
    paired=True,
    min_coverage=0.8,
    cohorts=Cohorts(
        What.PAIRED_ACCURACY,
        "m",
        HOUR,
        labels_seconds=LABELS_HOURS * HOUR,
        min_paired="0.9",
    ),
)
ERRORS = Gate("errors", 0.005)
SHADOWED = replace(
    LABELLED,
    gates=(ERRORS, QUALITY, DECISIONS, SCORES, ACCURACY),
    shadow_percent=20,
)
"""Copies first; cohorts of an hour, of which ten are needed."""
PAIR = {
    "decided": 95,
    "changed": 8,
    "scored": 90,
    "apart": [60, 40, 20, 9, 4, 1],
    "labelled": 80,
    "only_copy_right": 3,
    "only_original_right": 5,
}


def one(start: int, copies: int = 100, **originals: Any) -> dict[str, Any]:
    return {"start": start, "copies": copies, "originals": originals or {"a": PAIR}}


def read_series(
    intervals: Any, gate: Gate = DECISIONS, now: int = 100 * HOUR, **more: Any
) -> Series:
    """What the monitor's answer gives the gate."""
    content = {"model": "m", "seconds": HOUR, "revisions": {}, "pairs": intervals}
    with serve(Served({}, intervals=content | more)) as api:
        settings = replace(SHADOWED, gates=(ERRORS, gate))
        return monitor.read_counts(api, settings, 0, now)[gate.name]


@pytest.mark.parametrize(
    ("gate", "canary", "stable", "coverage"),
    [
        (DECISIONS, Tally(95, 8), Tally(95, 0), 0.95),
        (SCORES, Tally(90, 20), Tally(90, 0), 0.9),
        (ACCURACY, Tally(80, 5), Tally(80, 3), 0.8),
    ],
)
def test_each_gate_counts_its_own_pairs(
    gate: Gate, canary: Tally, stable: Tally, coverage: float
) -> None:
    found = read_series({"b": [one(0)]}, gate)
    assert found.intervals == (Interval(0, canary, stable),)
    assert found.coverage == pytest.approx(coverage)
    assert found.due is not None
    assert found.paired == (0.95 if gate is ACCURACY else None)


def test_copies_without_an_original_of_stable_are_not_paired() -> None:
    found = read_series(
        {"b": [one(0), one(HOUR, z=PAIR), one(2 * HOUR)], "c": [one(0)]}
    )
    assert [it.start for it in found.intervals] == [0, 2 * HOUR]
    assert found.coverage == pytest.approx(190 / 300)
    assert read_series({"c": [one(0)]}).coverage is None
    assert read_series({}).intervals == ()


def test_an_interval_counts_when_it_is_over_and_its_coverage_when_it_is_due() -> None:
    now = (LABELS_HOURS + 2) * HOUR
    rows = [one(hour * HOUR, copies=95) for hour in range(LABELS_HOURS + 3)]
    found = read_series({"b": rows}, ACCURACY, now)
    assert len(found.intervals) == LABELS_HOURS + 2
    assert (found.due, found.coverage) == (2 * HOUR, 80 / 95)


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": 60},
        {"pairs": []},
        {"pairs": {"b": [{"start": 0}]}},
        {"pairs": {"b": [one(0, a=PAIR | {"changed": 96})]}},
        {"pairs": {"b": [one(0, a={"decided": 1})]}},
    ],
)
def test_another_answer_is_an_error(changes: Any) -> None:
    with pytest.raises(ApiError, match="something else"):
        read_series({}, **changes)


def test_a_monitor_that_counts_no_pairs_is_an_error() -> None:
    content = {"model": "m", "seconds": HOUR, "revisions": {}}
    with (
        serve(Served({}, intervals=content)) as api,
        pytest.raises(ApiError, match="pairs"),
    ):
        monitor.read_counts(api, SHADOWED, 0, HOUR)


def hours(
    bad: int, other: int = 0, count: int = 40, *, pairs: int = 1000, due: int = 40
) -> Series:
    """Pairs of so many hours: of each, those that changed, or one side was wrong."""
    both = Tally(pairs, bad), Tally(pairs, other)
    rows = tuple(Interval(it * HOUR, *both) for it in range(count))
    return Series(rows, 0.95, due=due * HOUR, paired=0.95)


def judged(gate: Gate, series: Series, min_intervals: int = 10) -> Judgement:
    how = judge if gate is ACCURACY else judge_changes
    return how(gate, series, ErrorsAllowed(), gates=5, min_intervals=min_intervals)


def test_few_changes_promote_and_many_wait_for_a_person() -> None:
    few = judged(DECISIONS, hours(50))
    assert few.call is Call.PROMOTE
    assert few.reason.startswith("at most 5.")
    assert few.reason.endswith("of the decisions change")
    assert (few.estimate, few.evidence) == (pytest.approx(0.05), 1.0)
    assert (few.requests, few.bad) == ((40_000, 40_000), (2000, 0))
    near = judged(DECISIONS, hours(99, count=10, due=10))
    assert near.call is Call.HOLD
    assert near.reason.startswith("up to 1")
    assert near.reason.endswith("of the decisions change; tolerated is 10.00 points")
    many = judged(DECISIONS, hours(400))
    assert many.call is Call.HOLD
    assert "a person decides" in many.reason
    moved = judged(SCORES, hours(400))
    assert "of the scores change by more than 0.05" in moved.reason


def test_without_a_change_at_all_so_many_pairs_are_needed() -> None:
    assert judged(DECISIONS, hours(0, pairs=99, count=10, due=10)).reason == (
        "990 pairs of 1000"
    )
    assert judged(DECISIONS, hours(0, pairs=100, count=10, due=10)).call is Call.PROMOTE
    assert judged(DECISIONS, hours(0, due=9)).reason == "9 intervals of 10"


def test_pairs_that_are_missing_hold() -> None:
    series = replace(hours(10), coverage=0.89)
    assert judged(DECISIONS, series).reason == (
        "89% of the copies have their original's answer; 90% are needed"
    )
    assert judged(DECISIONS, replace(series, coverage=None)).call is Call.HOLD
    assert judged(DECISIONS, Series((), None, due=0)).call is Call.HOLD
    labels = replace(hours(10, 10), coverage=0.5)
    assert judged(ACCURACY, labels).reason == (
        "50% of the copies have their original's answer and a label; 80% are needed"
    )


def test_paired_accuracy_decides_both_ways() -> None:
    assert judged(ACCURACY, hours(40, 40)).call is Call.PROMOTE
    assert judged(ACCURACY, hours(70, 30)).call is Call.ROLLBACK
    # Harm counts before the labels are due, and a promotion waits.
    assert judged(ACCURACY, hours(70, 30, due=0)).call is Call.ROLLBACK
    assert judged(ACCURACY, hours(40, 40, due=9)).call is Call.HOLD


CLEAN = Series(
    tuple(Interval(at * HOUR, Tally(1000, 0), Tally(1000, 0)) for at in range(64))
)
EVERY = {
    "errors": CLEAN,
    "quality": Series((), None, due=0),
    "pairs decisions": hours(50, count=64, due=64),
    "pairs scores": hours(50, count=64, due=64),
    "pairs accuracy": hours(40, 40),
}


def facts(**changes: Any) -> Facts:
    """A shadow step of 64 hours in which everything is well."""
    found = Facts(
        now=64 * HOUR + 300,
        begun=0,
        started=0,
        step=-1,
        weight=0,
        ready=Ready(9, 9),
        counts=EVERY,
        mirror=20,
    )
    return replace(found, **changes)


def counts(**series: Series) -> dict[str, Series]:
    return EVERY | {f"pairs {name}": it for name, it in series.items()}


def test_pairs_decide_in_the_shadow_step_alone() -> None:
    outcome = weigh(SHADOWED, facts())
    assert outcome.verdict is Verdict.PROMOTE
    names = [it.gate for it in outcome.judgements]
    assert names == ["errors", "pairs decisions", "pairs scores", "pairs accuracy"]
    later = weigh(SHADOWED, facts(step=0, weight=25, mirror=0))
    assert [it.gate for it in later.judgements] == ["errors", "quality"]


@pytest.mark.parametrize(
    ("series", "verdict", "reason"),
    [
        (
            counts(accuracy=hours(70, 30)),
            Verdict.ROLLBACK,
            "pairs accuracy: the canary makes the bad ones: 4.00 points more",
        ),
        (counts(decisions=hours(400, count=64, due=64)), Verdict.HOLD, "a person"),
        (counts(scores=hours(400, count=64, due=64)), Verdict.HOLD, "a person"),
        (counts(accuracy=Series((), None, due=40 * HOUR)), Verdict.HOLD, "no pred"),
        (
            counts(accuracy=replace(hours(40, 40), coverage=0.7)),
            Verdict.HOLD,
            "70% of the copies",
        ),
        # Few labels may be enough, and a lost part of the log is none of them.
        (
            counts(accuracy=replace(hours(40, 40), paired=0.85)),
            Verdict.HOLD,
            "85% of the copies have their original's answer; 90% are needed",
        ),
        (counts(accuracy=replace(hours(40, 40), paired=None)), Verdict.HOLD, "0% of"),
        # The log has ended: what it had before promotes nobody.
        (counts(decisions=hours(50)), Verdict.HOLD, "newest intervals have no"),
        ({"errors": CLEAN}, Verdict.HOLD, "pairs decisions: there are no counts"),
        (None, Verdict.HOLD, "the counts could not be read"),
    ],
)
def test_what_is_wrong_with_pairs_holds_or_ends_the_step(
    series: Any, verdict: Verdict, reason: str
) -> None:
    outcome = weigh(SHADOWED, facts(counts=series))
    assert outcome.verdict is verdict
    assert reason in outcome.reason


def test_too_few_pairs_are_said_to_be_missing_data() -> None:
    few = counts(accuracy=replace(hours(40, 40), coverage=0.7))
    assert weigh(SHADOWED, facts(counts=few)).lacks_data
    lost = counts(accuracy=replace(hours(40, 40), paired=0.5))
    assert weigh(SHADOWED, facts(counts=lost)).lacks_data
    early = counts(accuracy=Series((), None, due=0))
    assert not weigh(SHADOWED, facts(now=20 * HOUR, counts=early)).lacks_data
    many = counts(decisions=hours(400, count=64, due=64))
    assert not weigh(SHADOWED, facts(counts=many)).lacks_data


@pytest.mark.parametrize("bad", [(40, 40), (70, 30)])
def test_the_verdict_is_computed_again_from_its_record(bad: tuple[int, int]) -> None:
    seen = facts(counts=counts(accuracy=hours(*bad)))
    outcome = weigh(SHADOWED, seen)
    goal = outcome.goal(SHADOWED, seen)
    entry = record.entry(
        "m-1", SHADOWED, seen, outcome, goal=goal, order=None, previous=""
    )
    entry = json.loads(json.dumps(entry))
    assert read(entry["settings"]) == SHADOWED
    assert record.recompute(entry) == (outcome, [])
    told = "\n".join(explain.lines(entry, *record.recompute(entry)))
    assert "pairs decisions: promote; canary 3200 of 64000" in told
    entry["facts"]["counts"]["pairs accuracy"]["intervals"][0][2] += 9
    assert record.recompute(entry)[1]


def test_the_history_ends_with_the_judgement() -> None:
    seen = facts()
    shown = points(SHADOWED, EVERY)
    for one_gate in weigh(SHADOWED, seen).judgements[1:]:
        last = shown[one_gate.gate][-1]
        assert last.upper == pytest.approx(one_gate.upper)
        assert last.lower == pytest.approx(one_gate.lower)


WRONG: list[tuple[Settings, str]] = [
    (replace(SHADOWED, shadow_percent=0), "there are no pairs for pairs decisions"),
    (
        replace(SHADOWED, gates=(DECISIONS, SCORES)),
        "gates: none compares requests",
    ),
    (
        replace(SHADOWED, gates=(ERRORS, replace(DECISIONS, paired=False))),
        "paired_decisions and paired: False: differ",
    ),
    (
        replace(SHADOWED, gates=(ERRORS, replace(DECISIONS, min_coverage=0.0))),
        "how many of the copies must be paired",
    ),
    (
        replace(
            SHADOWED,
            gates=(
                ERRORS,
                replace(SCORES, cohorts=Cohorts(What.PAIRED_SCORES, "m", HOUR)),
            ),
        ),
        "paired_scores needs one of 0.01, 0.02",
    ),
]


@pytest.mark.parametrize(("settings", "text"), WRONG)
def test_settings_by_which_pairs_cannot_decide_are_refused(
    settings: Settings, text: str
) -> None:
    with pytest.raises(SettingsError, match=text):
        read(settings.plain())


def test_settings_without_pairs_have_no_word_of_them() -> None:
    """Another digest would stop the rollouts that run when the controller is new."""
    assert QUALITY.cohorts
    assert "above" not in QUALITY.cohorts.plain()
    assert scores_gate.judge is not judge_changes


def test_the_answers_above_are_those_of_the_contract() -> None:
    """tests/monitor/test_interval_pairs.py compares the monitor's own with it."""
    path = paths.ROOT / "contracts" / "revision_intervals.yaml"
    contract = yaml.safe_load(path.read_text())
    assert list(one(0)) == list(contract["copies"])
    assert list(PAIR) == list(contract["pair"])


@pytest.mark.parametrize(
    "change",
    [
        {"min_coverage": "nan"},
        {"min_coverage": "-1"},
        {"min_coverage": "1.5"},
        {"cohorts": DECISIONS.cohorts.plain() | {"interval_seconds": "3600"}},  # type: ignore[union-attr]
        {"cohorts": DECISIONS.cohorts.plain() | {"shipped_seconds": None}},  # type: ignore[union-attr]
        {"cohorts": DECISIONS.cohorts.plain() | {"min_paired": "1.1"}},  # type: ignore[union-attr]
    ],
)
def test_settings_that_a_promotion_without_pairs_could_follow_from_are_refused(
    change: dict[str, Any],
) -> None:
    """Whatever has written the ConfigMap: no share is below one that is no number."""
    plain = SHADOWED.plain()
    plain["gates"] = [
        it | (change if it["name"] == DECISIONS.name else {}) for it in plain["gates"]
    ]
    with pytest.raises(SettingsError):
        read(plain)
