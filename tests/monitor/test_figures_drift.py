"""Drift by day against a reference: what is found, what persists, what stays silent."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import replace

import pytest
from model_monitor import config
from model_monitor.config import Model
from model_monitor.counts.counts import Counts
from model_monitor.counts.plan import Task
from model_monitor.counts.reference import Reference, Variable
from model_monitor.figures.results import FeatureDrift

from tests.support.monitor_cohorts import binned, cohort, days, only, results

FIRST = dt.date(2026, 11, 1)
AGE = Variable("age", edges=(0.0, 10.0, 20.0, 30.0), counts=(3000, 4000, 3000))
KIND = Variable("kind", categories=("a", "b"), counts=(8000, 2000))
SCORE = Variable("score", edges=(0.0, 0.5, 1.0), counts=(6000, 4000))
REFERENCE = Reference(
    rows=10_000,
    features=(AGE, KIND),
    score=SCORE,
    decisions={"0": 6000, "1": 4000},
)
MODEL = Model("m")
SAME = {"age": (300, 400, 300), "kind": (800, 200), "score": (600, 400)}
OLDER = SAME | {"age": (200, 400, 400)}


def day(bins: dict[str, tuple[int, ...]], **others: dict[str, int]) -> Counts:
    """A day of about a thousand rows; `others` are a feature's missing and so on."""
    found = {name: binned(it, **others.get(name, {})) for name, it in bins.items()}
    score = found.pop("score")
    n = sum(bins["score"])
    return Counts(
        answered=n,
        features=found,
        score=score,
        decisions=Counter({"0": score.bins[0], "1": score.bins[1]}),
    )


def drift(
    counts: list[Counts],
    now_day: int | None = None,
    model: Model = MODEL,
    reference: Reference = REFERENCE,
) -> dict[str, FeatureDrift]:
    cohorts = [
        cohort(date, it, reference)
        for date, it in zip(days(FIRST, len(counts)), counts, strict=True)
    ]
    end = FIRST + dt.timedelta(days=len(counts) if now_day is None else now_day)
    now = dt.datetime.combine(end, dt.time(1), dt.UTC)
    found = only(results(model, cohorts, now, reference)).drift
    if found is None:
        return {}
    return {it.feature: it for it in (*found.features, *found.predictions)}


def test_days_like_the_reference_are_silent() -> None:
    found = drift([day(SAME)] * 3)
    assert list(found) == ["age", "kind", "score", "decision"]
    assert not any(it.detected or it.persistent for it in found.values())


@pytest.mark.parametrize(
    ("history", "detected", "persistent"),
    [
        ([SAME, SAME, OLDER], True, False),
        ([SAME, OLDER, OLDER], True, True),
        ([OLDER, SAME, OLDER], True, True),
        ([OLDER, OLDER, SAME], False, True),
        ([OLDER, SAME, SAME], False, False),
        ([OLDER, OLDER, SAME, SAME], False, False),
        ([OLDER], True, False),
    ],
)
def test_two_of_the_last_three_days_are_an_alarm(
    history: list[dict[str, tuple[int, ...]]], detected: bool, persistent: bool
) -> None:
    found = drift([day(it) for it in history])
    assert (found["age"].detected, found["age"].persistent) == (detected, persistent)
    assert not found["kind"].detected
    assert not found["kind"].persistent


def test_effect_and_p_are_those_of_the_days_counts() -> None:
    found = drift([day(OLDER)])["age"]
    # A tenth of the rows is older; less a little, which chance gives.
    assert found.effect == pytest.approx(0.1, abs=0.002)
    assert found.effect < 0.1
    assert found.adjusted_p is not None
    assert found.adjusted_p < 1e-6
    assert found.checks == ("values",)


def test_half_a_day_and_days_with_few_rows_are_not_judged() -> None:
    # At one o'clock of the third day its own rows are those of one hour.
    found = drift([day(SAME), day(SAME), day(OLDER)], now_day=2)
    assert not found["age"].detected
    few = {name: tuple(n // 100 for n in it) for name, it in OLDER.items()}
    found = drift([day(OLDER), day(OLDER), day(few)])
    assert found["age"].rows == 1000
    assert drift([day(few)]) == {}


def test_old_drift_is_no_alarm_of_today() -> None:
    assert drift([day(OLDER)] * 3, now_day=20)["age"].persistent
    assert drift([day(OLDER)] * 3, now_day=40) == {}


@pytest.mark.parametrize(
    ("feature", "others", "check"),
    [
        ("age", {"missing": 100}, "missing"),
        ("age", {"above": 100}, "out_of_range"),
        ("age", {"below": 100}, "out_of_range"),
        ("kind", {"unseen": 100}, "unseen"),
        ("kind", {"missing": 100}, "missing"),
    ],
)
def test_rows_without_a_usable_value_are_named(
    feature: str, others: dict[str, int], check: str
) -> None:
    found = drift([day(SAME, **{feature: others})] * 2)
    assert check in found[feature].persistent_checks
    (other,) = {"age", "kind"} - {feature}
    assert found[other].persistent_checks == ()
    # A few of them are not a violation.
    few = dict.fromkeys(others, 1)
    assert not drift([day(SAME, **{feature: few})] * 2)[feature].persistent_checks


@pytest.mark.parametrize(
    ("missing", "checks"),
    [
        # Of 1,000 rows with a value as many again without one are a share of .5.
        (1000, ("missing",)),
        (429, ()),
        (0, ()),
    ],
)
def test_more_rows_without_a_value_are_a_violation_and_fewer_are_none(
    missing: int, checks: tuple[str, ...]
) -> None:
    """In the reference 30 % have none."""
    sparse = replace(AGE, missing=4286)
    reference = replace(REFERENCE, features=(sparse, KIND))
    age = drift([day(SAME, age={"missing": missing})] * 3, reference=reference)["age"]
    assert age.persistent_checks == checks
    assert age.checks == checks
    # Another share, either way, is another distribution.
    assert age.persistent == (missing != 429)


def test_prediction_drift_needs_no_labels() -> None:
    shifted = SAME | {"score": (400, 600)}
    found = drift([day(shifted)] * 2)
    assert found["score"].persistent
    assert found["decision"].persistent
    assert not found["age"].persistent


def test_a_decision_that_the_reference_never_made_is_unseen() -> None:
    counts = day(SAME)
    counts.decisions["2"] = 100
    assert "unseen" in drift([counts] * 2)["decision"].persistent_checks


def test_counts_of_other_bins_are_not_compared() -> None:
    other = Reference(features=(Variable("age", edges=(0.0, 1.0), counts=(5,)),))
    cohorts = [cohort(it, day(OLDER), other) for it in days(FIRST, 3)]
    now = dt.datetime(2026, 11, 4, tzinfo=dt.UTC)
    found = only(results(MODEL, cohorts, now, REFERENCE)).drift
    assert found is not None
    assert found.features == ()


def test_the_settings_decide() -> None:
    strict = Model("m", drift=config.Drift(effect_floor=0.5))
    assert not drift([day(OLDER)] * 3, model=strict)["age"].detected
    once = Model("m", drift=config.Drift(needed=1, of=1))
    assert drift([day(OLDER)], model=once)["age"].persistent


def test_numbers_have_no_decision_drift() -> None:
    counts = day(OLDER)
    counts.decisions.clear()
    found = drift([counts], model=Model("m", task=Task.REGRESSION))
    assert set(found) == {"age", "kind", "score"}


def test_the_history_names_what_drifted() -> None:
    cohorts = [
        cohort(date, day(it), REFERENCE)
        for date, it in zip(days(FIRST, 2), [SAME, OLDER], strict=True)
    ]
    now = dt.datetime(2026, 11, 3, tzinfo=dt.UTC)
    history = only(results(MODEL, cohorts, now, REFERENCE)).history
    assert [it.drifted for it in history] == [(), ("age",)]
    assert [it.date for it in history] == ["2026-11-01", "2026-11-02"]
    effects = [it.largest_effect for it in history]
    assert effects[0] is not None
    assert effects[1] is not None
    assert effects[0] < 0.05 < effects[1]
