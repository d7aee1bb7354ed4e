"""The report of an experiment: from a store's files to a verdict."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from model_monitor import __main__ as program
from model_monitor.counts.cohort import SHADOW
from model_monitor.experiments import plan as plans
from model_monitor.experiments.counting import Counted, count, looks_of
from model_monitor.experiments.effects import UnitSums, effect
from model_monitor.experiments.plan import Kind, Metric, Plan, PlanError, Rule, Unit
from model_monitor.experiments.report import report
from model_monitor.experiments.sequential import Spending
from model_monitor.store import Store
from model_monitor.store.ingest import ingest

from tests.support.monitor_logs import Label, Row, put_labels, put_predictions
from tests.support.monitor_records import NOW, land, prediction, rows

START = dt.datetime(2026, 11, 2, 7, 30, tzinfo=dt.UTC).replace(tzinfo=None)
"""As the store has it: in UTC."""
HOUR = 3600
DAY = 24 * HOUR
STARTED = int(START.replace(tzinfo=dt.UTC).timestamp())
ACCURACY = Metric(Kind.ACCURACY, "higher", labels_within_seconds=DAY)
PLAN = Plan(
    model="m",
    control="a",
    treatment="b",
    share=0.5,
    unit=Unit.CALLER,
    metrics=(ACCURACY,),
    rule=Rule.ALWAYS_VALID,
    spending=Spending.OBRIEN_FLEMING,
    alpha=0.05,
    power=0.8,
    smallest=0.05,
    planned_units=0,
    least_units=50,
    covariate_days=7,
    started=STARTED,
    until=STARTED + 4 * DAY,
    now=STARTED + 5 * DAY,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as store:
        yield store


def put(
    store: Store, seed: int = 1, callers: int = 600, gain: float = 0.0
) -> tuple[list[Row], dict[str, Label]]:
    """Callers who send 1 to 8 requests within four days, and were there before.

    The treatment's decisions are right more often by `gain`. Labels come within the
    day but for one in ten.
    """
    rng = np.random.default_rng(seed)
    rows, labels = [], {}
    for number in range(callers):
        own, revision = rng.uniform(0.5, 0.9), "ab"[number % 2]
        before = START - dt.timedelta(days=int(rng.integers(1, 7)))
        if number % 3:
            rows.append(
                Row(
                    f"{number}-before",
                    before,
                    revision="a",
                    score=own,
                    unit=f"u{number}",
                )
            )
        for turn in range(int(rng.integers(1, 9))):
            # Within an hour of each day, or there would be many files.
            day, minutes = int(rng.integers(0, 4)), float(rng.uniform(0, 50))
            time = START + dt.timedelta(days=day, minutes=minutes)
            row = Row(
                f"{number}-{turn}",
                time,
                revision=revision,
                decision="1",
                unit=f"u{number}",
            )
            rows.append(row)
            right = rng.random() < own + (gain if revision == "b" else 0)
            late = dt.timedelta(hours=float(rng.uniform(1, 23 if turn % 10 else 40)))
            labels[row.id] = Label(row.id, "01"[int(right)], time + late, time.date())
    put_predictions(store, "one", rows, "m")
    put_labels(store, "one", list(labels.values()), "m")
    return rows, labels


def oracle(
    rows: Sequence[Row], labels: Mapping[str, Label], until: dt.datetime
) -> tuple[UnitSums, UnitSums]:
    """The sums by loops over rows."""
    arms = []
    for revision in "ab":
        y: dict[str, float] = defaultdict(float)
        m: dict[str, float] = defaultdict(float)
        for row in rows:
            label = labels.get(row.id)
            if row.revision != revision or not START <= row.time < until:
                continue
            if label and label.label_time <= row.time + dt.timedelta(days=1):
                y[str(row.unit)] += label.label == row.decision
                m[str(row.unit)] += 1
        x = {row.unit: row.score for row in rows if row.time < START}
        arms.append(
            UnitSums.of(
                np.array([y[it] for it in m]),
                np.array([m[it] for it in m]),
                np.array([x.get(it, np.nan) for it in m], float),
            )
        )
    return arms[0], arms[1]


def alike(found: Counted, wanted: Counted) -> None:
    """Of the metric ACCURACY alone."""
    assert replace(found, looks=()) == replace(wanted, looks=())
    (ours,), (theirs,) = found.looks, wanted.looks
    assert [it.until for it in ours] == [it.until for it in theirs]
    for look, other in zip(ours, theirs, strict=True):
        for arm, same in zip(look.sums, other.sums, strict=True):
            assert asdict(arm) == pytest.approx(asdict(same))


def test_each_look_has_the_sums_of_its_callers(store: Store) -> None:
    sent, labels = put(store)
    counted = count(store, PLAN)
    (looks,) = counted.looks
    assert [look.until for look in looks] == [
        STARTED + day * DAY for day in (1, 2, 3, 4)
    ]
    for look in looks:
        until = dt.datetime.fromtimestamp(look.until, dt.UTC).replace(tzinfo=None)
        for found, wanted in zip(look.sums, oracle(sent, labels, until), strict=True):
            assert asdict(found) == pytest.approx(asdict(wanted))
    assert counted.seen == (300, 300)
    assert (counted.crossed, counted.without_unit) == (0, 0)
    assert counted.predictions == sum(it.time >= START for it in sent)


def test_a_cohort_is_complete_when_its_labels_are() -> None:
    early = replace(PLAN, until=STARTED + 3 * DAY + HOUR, now=STARTED + 3 * DAY + HOUR)
    assert looks_of(early, ACCURACY) == [
        *(STARTED + DAY, STARTED + 2 * DAY),
        STARTED + 2 * DAY + HOUR,
    ]
    planned = replace(early, rule=Rule.GROUP_SEQUENTIAL)
    assert looks_of(planned, ACCURACY) == [STARTED + DAY, STARTED + 2 * DAY]
    assert looks_of(replace(early, now=STARTED + HOUR), ACCURACY) == []
    # Later than the end of the experiment there are labels, and no predictions.
    ended = replace(PLAN, until=STARTED + DAY, now=STARTED + 9 * DAY)
    assert looks_of(ended, ACCURACY) == [STARTED + DAY]


def test_the_last_day_of_an_ended_experiment_may_be_a_little_short() -> None:
    end = STARTED + 4 * DAY - 60
    ended = replace(PLAN, rule=Rule.GROUP_SEQUENTIAL, until=end, now=end + DAY)
    whole = [STARTED + day * DAY for day in (1, 2, 3)]
    assert looks_of(ended, ACCURACY) == [*whole, end]
    # Its last labels may still come, it still runs, or the day is much shorter.
    assert looks_of(replace(ended, now=end + DAY - 1), ACCURACY) == whole
    assert looks_of(replace(ended, now=end), Metric(Kind.SCORE_MEAN, "higher")) == whole
    stopped = replace(ended, until=end - 2 * HOUR)
    assert looks_of(stopped, ACCURACY) == whole


def test_callers_in_both_arms_are_in_none(store: Store) -> None:
    put(store)
    moved = [
        Row(f"moved-{it}", START + dt.timedelta(hours=1), revision="b", unit=f"u{it}")
        for it in range(0, 40, 2)
    ]
    unnamed = [Row("unnamed", START + dt.timedelta(hours=1), revision="b")]
    put_predictions(store, "two", moved + unnamed, "m")
    counted = count(store, PLAN)
    assert (counted.crossed, counted.without_unit, counted.seen) == (20, 1, (280, 300))
    rate = replace(PLAN, metrics=(Metric(Kind.POSITIVE_RATE, "higher", positive="1"),))
    assert [it.n for it in count(store, rate).looks[0][-1].sums] == [280, 300]
    found = report(PLAN, counted)
    assert found["verdict"] == "doubtful"
    assert found["reason"].startswith("20 of 600 units were seen in both arms")


def test_copied_requests_are_in_no_arm(store: Store) -> None:
    """They have the ids and callers of their originals, and may be answered before."""
    sent, _ = put(store)
    before = count(store, PLAN)
    later = dt.timedelta(seconds=1)
    copies = [
        replace(it, time=it.time - later, revision=other, arm=SHADOW, score=0.0)
        for it in sent[::3]
        for other in "ab"
    ]
    put_predictions(store, "two", copies, "m")
    alike(count(store, PLAN), before)


def test_files_may_lack_the_arm(store: Store) -> None:
    put(store)
    before = count(store, PLAN)
    for path in store.predictions.rglob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["arm"]), path)
    alike(count(store, PLAN), before)


def test_a_request_as_unit_needs_no_header(store: Store) -> None:
    rows = [
        Row(f"r{it}", START + dt.timedelta(minutes=it), revision="ab"[it % 2], score=it)
        for it in range(400)
    ]
    put_predictions(store, "one", rows, "m")
    wanted = replace(
        PLAN,
        unit=Unit.REQUEST,
        covariate_days=0,
        metrics=(Metric(Kind.SCORE_MEAN, "higher"), Metric(Kind.LABEL_MEAN, "lower")),
    )
    counted = count(store, wanted)
    assert (counted.seen, counted.without_unit) == ((200, 200), 0)
    look = counted.looks[0][0]
    assert (look.sums[0].value, look.sums[1].value) == (199.0, 200.0)
    assert counted.looks[1][0].sums == (UnitSums(), UnitSums())


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (Metric(Kind.POSITIVE_RATE, "higher", positive="yes"), 0.5),
        (Metric(Kind.ABSOLUTE_ERROR, "lower", labels_within_seconds=DAY), 2.0),
        (Metric(Kind.LABEL_MEAN, "higher", labels_within_seconds=DAY), 5.0),
        (Metric(Kind.ACCURACY, "higher", labels_within_seconds=DAY), 0.0),
    ],
)
def test_metrics_are_what_they_are_called(
    store: Store, metric: Metric, value: float
) -> None:
    later = START + dt.timedelta(hours=2)
    rows = [
        Row(
            f"{revision}{it}",
            START,
            revision=revision,
            unit=f"{revision}{it}",
            decision=("yes", "no")[it % 2],
            decision_number=3.0,
        )
        for revision in "ab"
        for it in range(10)
    ]
    put_predictions(store, "one", rows, "m")
    labels = [Label(it.id, "5", later, START.date(), label_number=5.0) for it in rows]
    put_labels(store, "one", labels, "m")
    # One that became known too late, and of two the latest in time.
    late = Label(
        "a0", "9", START + dt.timedelta(days=2), START.date(), label_number=9.0
    )
    put_labels(store, "two", [late], "m")
    (looks,) = count(store, replace(PLAN, metrics=(metric,))).looks
    assert [it.value for it in looks[0].sums] == [value, value]
    assert [it.n for it in looks[0].sums] == [10, 10]


def test_a_metric_has_the_labels_of_its_own_time(store: Store) -> None:
    """A label that is corrected later counts for the metric that waits for it."""
    sent = [Row(it, START, revision=it, unit=it, decision="1") for it in "ab"]
    put_predictions(store, "one", sent, "m")
    for name, label, hours in (("first", "1", 2), ("second", "0", 30)):
        late = START + dt.timedelta(hours=hours)
        labels = [Label(it.id, label, late, START.date()) for it in sent]
        put_labels(store, name, labels, "m")
    patient = replace(ACCURACY, labels_within_seconds=2 * DAY)
    for metrics in ((ACCURACY, patient), (patient, ACCURACY)):
        looks = count(store, replace(PLAN, metrics=metrics)).looks
        found = {
            metric.labels_within_seconds: [(it.n, it.y) for it in some[0].sums]
            for metric, some in zip(metrics, looks, strict=True)
        }
        assert found == {DAY: [(1.0, 1.0)] * 2, 2 * DAY: [(1.0, 0.0)] * 2}


@pytest.mark.parametrize("rule", [Rule.ALWAYS_VALID, Rule.GROUP_SEQUENTIAL])
def test_a_better_revision_is_found_and_an_equal_one_is_not(
    store: Store, rule: Rule
) -> None:
    put(store, gain=0.1)
    wanted = replace(
        PLAN, rule=rule, planned_units=600 * (rule is not Rule.ALWAYS_VALID)
    )
    found = report(wanted, count(store, wanted))
    assert found["verdict"] == "better"
    last = found["metrics"][0]["looks"][-1]
    assert 0 < last["low"] < last["difference"] < last["high"]
    assert last["crossed"]
    assert last["variance_saved"] > 0.02
    # The same figures, if fewer were better.
    lower = replace(wanted, metrics=(replace(ACCURACY, better="lower"),))
    assert report(lower, count(store, lower))["verdict"] == "worse"


def test_equal_revisions_stay_undecided_until_the_plan_ends(store: Store) -> None:
    put(store, seed=3)
    counted = count(store, PLAN)
    assert report(PLAN, counted)["verdict"] == "undecided"
    planned = replace(PLAN, rule=Rule.GROUP_SEQUENTIAL, planned_units=540)
    found = report(planned, counted)
    assert found["verdict"] == "no_difference"
    assert found["reason"] == "the planned 540 units have come"
    # Looks after the planned units do not count.
    assert len(found["metrics"][0]["looks"]) < 4
    more = replace(planned, planned_units=6000)
    assert report(more, counted)["verdict"] == "undecided"
    last = report(more, counted)["metrics"][0]["looks"][-1]
    assert last["bound"] > 3


def test_a_sample_ratio_that_is_wrong_makes_all_doubtful(store: Store) -> None:
    put(store, gain=0.1)
    counted = count(store, PLAN)
    found = report(replace(PLAN, share=0.25), counted)
    assert (found["verdict"], found["sample_ratio"]["alarm"]) == ("doubtful", True)
    assert found["reason"].startswith("the treatment has 50.00% of the units, not 25%")
    assert not report(PLAN, counted)["sample_ratio"]["alarm"]


def test_few_units_decide_nothing(store: Store) -> None:
    put(store, gain=0.4, callers=60)
    found = report(PLAN, count(store, PLAN))
    assert found["verdict"] == "undecided"
    assert found["reason"] == "no complete look with 50 units in each arm"
    assert found["units_needed"] is None
    assert report(PLAN, count(store, replace(PLAN, model="none")))["predictions"] == 0


def test_the_command_prints_the_report(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(store, gain=0.1)
    file = tmp_path / "monitor.json"
    file.write_text(json.dumps({"store": str(store.root), "models": [{"name": "m"}]}))
    monkeypatch.setenv("MODEL_MONITOR_CONFIG", str(file))
    assert program.main(["experiment", json.dumps(asdict(PLAN))]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(json.dumps(report(PLAN, count(store, PLAN))))
    assert found["units"] == {"a": 300, "b": 300}
    other = json.dumps(asdict(replace(PLAN, model="n")))
    assert program.main(["experiment", other]) == 2
    assert program.main(["experiment", "{}"]) == 2
    assert "not a plan of an experiment" in capsys.readouterr().err


def test_a_plan_is_read_as_it_is_written() -> None:
    assert plans.read(json.dumps(asdict(PLAN))) == PLAN
    wrong: list[dict[str, Any]] = [{"share": 1}, {"metrics": []}, {"rule": "bayes"}]
    for change in wrong:
        with pytest.raises(PlanError):
            plans.read(json.dumps(asdict(PLAN) | change))


def test_the_effect_of_the_report_is_that_of_its_sums(store: Store) -> None:
    put(store)
    counted = count(store, PLAN)
    last = report(PLAN, counted)["metrics"][0]["looks"][-1]
    one = effect(*counted.looks[0][-1].sums)
    assert last["difference"] == pytest.approx(one.difference)
    assert last["z"] == pytest.approx(one.z)


def test_a_landed_record_keeps_its_unit(store: Store) -> None:
    records = [prediction(unit="ab12"), prediction(row=1), prediction(row=2, unit=7)]
    land(store, records)
    ingest(store, now=lambda: NOW)
    found = rows(store.predictions)
    assert [(it["row"], it["unit"]) for it in found] == [(0, "ab12"), (1, None)]
