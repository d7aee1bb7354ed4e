"""Attributions in results and metrics: reference, drift, and days without any."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_monitor.attributions import evaluator, stored
from model_monitor.attributions.collector import AttributionsCollector
from model_monitor.attributions.evaluator import AttributionEvaluator
from model_monitor.attributions.settings import AttributionSettings
from model_monitor.config import Config, Drift, Model, Quality
from model_monitor.counts.counts import Counts
from model_monitor.cycle import Cycle
from model_monitor.figures.results import Attributions, Results
from model_monitor.retraining import stored as retraining_files
from model_monitor.retraining.requests import RetrainingRequests
from model_monitor.store import Store
from model_monitor.store.retention import Hold, Retention

from tests.support.contracts import contract
from tests.support.monitor_cohorts import cohort, confused, days, results
from tests.support.monitor_logs import Row, put_predictions

FIRST = dt.date(2026, 11, 1)
NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
SETTINGS = AttributionSettings()
MODEL = Model("m", drift=Drift(min_rows=100), attributions=SETTINGS)
TRUTH = (0.30, 0.20, 0.10, 0.05, 0.02)
TURNED = (0.02, 0.05, 0.10, 0.20, 0.30)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def of_day(
    day: dt.date,
    values: Sequence[float],
    error: float = 0.005,
    loss: float | None = None,
    **changes: Any,
) -> dict[str, Any]:
    return {
        "schema": 1,
        "model": "m",
        "revision": "r1",
        "date": day.isoformat(),
        "rows": 1000,
        "repetitions": 5,
        "outcome": "score",
        "filled": [],
        "disagreement": 0.0,
        "loss": None if loss is None else "brier",
        "labelled": 0 if loss is None else 1000,
        "features": [
            {
                "feature": f"f{number}",
                "value": float(value),
                "low": float(value) - 2 * error,
                "high": float(value) + 2 * error,
                "standard_error": error,
                "loss": loss,
                "loss_low": loss,
                "loss_high": loss,
            }
            for number, value in enumerate(values)
        ],
        **changes,
    }


def judged(
    later: Sequence[Sequence[float]], error: float = 0.005, model: Model = MODEL
) -> Attributions:
    """Seven days of TRUTH, and these after them."""
    values = [TRUTH] * 7 + list(later)
    content = [
        of_day(day, it, error)
        for day, it in zip(days(FIRST, len(values)), values, strict=True)
    ]
    assert model.attributions
    found = evaluator.over_days(content, model, model.attributions)
    assert found
    return found


def test_the_first_days_are_the_reference() -> None:
    assert evaluator.over_days([], MODEL, SETTINGS) is None
    few = evaluator.over_days([of_day(FIRST, TRUTH)], MODEL, SETTINGS)
    assert few
    assert few.reference_days == ()
    assert few.features[0].reference is None
    assert (few.ndcg, few.detected, few.persistent) == (None, False, False)
    found = judged([(0.4, 0.2, 0.1, 0.05, 0.0)])
    assert found.reference_days == tuple(it.isoformat() for it in days(FIRST, 7))
    assert (found.day, found.days) == ("2026-11-08", ("2026-11-08",))
    first, *_, last = found.features
    assert (first.feature, first.figure.value, last.feature) == ("f0", 0.4, "f4")
    assert first.share == pytest.approx(0.4 / 0.75)
    assert first.reference
    assert first.reference.value == pytest.approx(0.3)
    # The mean of seven days is more precise than one.
    assert first.reference.high == pytest.approx(0.3 + 1.96 * 0.005 / 7**0.5, abs=1e-5)


def test_another_order_on_two_of_three_days_is_drift() -> None:
    once = judged([TRUTH, TRUTH, TURNED])
    assert (once.detected, once.persistent) == (True, False)
    assert once.ndcg
    assert once.p
    assert once.ndcg < 0.9
    assert once.p < 0.01
    assert once.rank_correlation == pytest.approx(-1)
    twice = judged([TURNED, TRUTH, TURNED])
    assert (twice.detected, twice.persistent) == (True, True)
    over = judged([TURNED, TURNED, TRUTH, TRUTH])
    assert (over.detected, over.persistent) == (False, False)


def test_a_significant_but_small_change_is_none() -> None:
    """Two features of nearly the same importance change places, without any doubt."""
    found = judged([(0.20, 0.21, 0.10, 0.05, 0.02)] * 3, error=1e-6)
    assert found.p
    assert found.ndcg
    assert found.p < 0.01
    assert found.ndcg > 0.9
    assert not found.persistent


def test_a_great_but_uncertain_change_is_none() -> None:
    found = judged([TURNED] * 3, error=0.3)
    assert found.ndcg
    assert found.p
    assert found.ndcg < 0.9
    assert found.p > 0.01
    assert not found.persistent


def test_months_of_the_same_importances_raise_no_alarm() -> None:
    """120 days with the errors of samples of 300 rows or so; alarms on 2 of 3 days."""
    random = np.random.default_rng(7)
    truth = np.array([0.08, 0.07, 0.06, 0.05, 0.04, 0.03])
    error = 0.015
    noisy = np.maximum(random.normal(truth, error, (127, 6)), 0)
    content = [
        of_day(day, it, error) for day, it in zip(days(FIRST, 127), noisy, strict=True)
    ]
    alarms, below = 0, 0
    for end in range(8, 128):
        found = evaluator.over_days(
            [*content[:7], *content[max(7, end - 3) : end]], MODEL, SETTINGS
        )
        assert found
        alarms += found.persistent
        below += found.ndcg is not None and found.ndcg < 0.95
    assert alarms == 0
    # There was something to be silent about.
    assert below > 5


def test_losses_are_those_of_the_newest_day_with_labels() -> None:
    content = [
        of_day(day, TRUTH, loss=loss)
        for day, loss in zip(days(FIRST, 3), (0.1, 0.2, None), strict=True)
    ]
    found = evaluator.over_days(content, MODEL, SETTINGS)
    assert found
    assert found.day == "2026-11-03"
    assert {it.loss and it.loss.value for it in found.features} == {0.2}


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """The same with a folder, which has the revision r1."""
    (tmp_path / "model.yaml").write_text("revision: r1")
    (tmp_path / "reference.json").write_text('{"rows": 0}')
    return replace(MODEL, reference=tmp_path / "reference.json")


def results_of(until: dt.datetime = NOW) -> Results:
    counts = [Counts(answered=500) for _ in range(20)]
    counts[14] = Counts(answered=50)
    found = [cohort(day, it) for day, it in zip(days(FIRST, 20), counts, strict=True)]
    return results(MODEL, found, until)


def adding(store: Store, **settings: Any) -> AttributionEvaluator:
    config = Config(store.root, (MODEL,), **{"clock": "event"} | settings)
    return AttributionEvaluator(config, store)


def test_days_without_attributions_are_counted(store: Store, model: Model) -> None:
    added = adding(store).added(results_of(), model)
    (revision,) = added.revisions
    # Of seven whole days one has too few rows.
    assert revision.days_without_attributions == 6
    assert revision.attributions is None
    for day in days(FIRST + 13 * DAY, 4):
        stored.write(store, of_day(day, TRUTH))
    (revision,) = adding(store).added(results_of(), model).revisions
    assert revision.days_without_attributions == 3
    assert revision.attributions
    assert revision.attributions.day == "2026-11-17"
    without = replace(model, attributions=None)
    (revision,) = adding(store).added(results_of(), without).revisions
    assert revision.days_without_attributions is None
    # The job has another revision: nobody waits for this one's.
    assert model.reference
    model.reference.with_name("model.yaml").write_text("revision: r2")
    (revision,) = adding(store).added(results_of(), model).revisions
    assert revision.days_without_attributions is None
    assert revision.attributions


def test_old_days_go_but_for_the_reference(store: Store) -> None:
    for day in days(FIRST - 30 * DAY, 45):
        stored.write(store, of_day(day, TRUTH))
    retention = Retention(
        raw_days=5,
        figures_days=20,
        holds=(Hold(FIRST - 15 * DAY, FIRST - 14 * DAY),),
    )
    adding(store).added(results_of(), MODEL)
    assert len(stored.by_revision(store, "m")["r1"]) == 45
    adding(store, clock="wall", retention=retention).added(results_of(), MODEL)
    kept = [it["date"] for it in stored.by_revision(store, "m")["r1"]]
    first = [it.isoformat() for it in days(FIRST - 30 * DAY, 7)]
    held = [it.isoformat() for it in days(FIRST - 15 * DAY, 2)]
    last = [it.isoformat() for it in days(FIRST - DAY, 16)]
    assert kept == first + held + last
    later = results_of(NOW + 300 * DAY)
    adding(store, clock="wall", retention=retention).added(later, MODEL)
    kept = [it["date"] for it in stored.by_revision(store, "m")["r1"]]
    assert kept == held


@pytest.mark.parametrize(
    "models", [(), (Model("gone", attributions=None),)], ids=["left", "no more"]
)
def test_old_days_of_what_is_attributed_no_more_go_too(
    store: Store, models: tuple[Model, ...]
) -> None:
    """Beside a model that is not attributed either."""
    for day in days(FIRST - 30 * DAY, 45):
        stored.write(store, of_day(day, TRUTH) | {"model": "gone"})
    other = replace(MODEL, attributions=None)
    config = Config(
        store.root, (other, *models), retention=Retention(raw_days=5, figures_days=20)
    )
    AttributionEvaluator(config, store).added(results_of(), other)
    kept = [it["date"] for it in stored.by_revision(store, "gone")["r1"]]
    assert kept == [it.isoformat() for it in days(FIRST - DAY, 16)]


def samples(found: Results, model: Model = MODEL) -> dict[str, float]:
    """Values by name and feature."""
    config = Config(Path(), (model,))
    collector = AttributionsCollector(config, lambda: [json.loads(found.content())])
    return {
        " ".join([it.name, *filter(None, [it.labels.get("feature")])]): it.value
        for family in collector.collect()
        for it in family.samples
    }


def test_metrics(store: Store, model: Model) -> None:
    before = samples(adding(store).added(results_of(), model))
    assert before == {"model_attribution_days_missing": 6}
    for number, day in enumerate(days(FIRST, 19)):
        stored.write(store, of_day(day, TRUTH if number < 17 else TURNED))
    added = adding(store).added(results_of(), model)
    found = samples(added)
    assert found["model_attribution_days_missing"] == 0
    assert found["model_attribution_drift_detected"] == 1
    assert found["model_attribution_ndcg"] < 0.9
    midnight = dt.datetime(2026, 11, 19, tzinfo=dt.UTC).timestamp()
    assert found["model_attribution_day_timestamp_seconds"] == midnight
    assert found["model_attribution f4"] == 0.3
    assert found["model_attribution_reference f4"] == pytest.approx(0.02)
    assert found["model_attribution_low f4"] < 0.3 < found["model_attribution_high f4"]
    few = replace(MODEL, drift=Drift(features=2))
    shown = samples(added, few)
    assert shown["model_attribution (others)"] == pytest.approx(0.17)
    assert "model_attribution f2" not in shown


def test_a_cycle_takes_in_what_the_job_has_sent(store: Store, model: Model) -> None:
    rows = [Row(str(it), NOW - DAY, score=0.5) for it in range(120)]
    put_predictions(store, "p", [*rows, Row("now", NOW)], "m")
    cycle = Cycle(Config(store.root, (model,), clock="event"), store)
    cycle.run()
    assert cycle.run().results == {}

    def written() -> dict[str, Any]:
        content = json.loads((store.results / "m.json").read_text())
        (revision,) = content["revisions"]
        return dict(revision)

    assert written()["days_without_attributions"] == 1
    stored.write(store, of_day((NOW - DAY).date(), TRUTH))
    assert set(cycle.run().results) == {"m"}
    assert written()["days_without_attributions"] == 0
    assert written()["attributions"]["features"][0]["feature"] == "f0"
    assert cycle.run().results == {}


def test_a_request_to_retrain_tells_of_them(store: Store) -> None:
    """As context: the cause is quality."""
    for number, day in enumerate(days(FIRST, 19)):
        stored.write(store, of_day(day, TRUTH if number < 17 else TURNED))
    model = replace(MODEL, label_horizon_days=0, quality=(Quality("accuracy", 0.9),))
    for counts, expected in (
        (confused(900, 50, 50, 0), 0),
        (confused(5, 200, 200, 5), 1),
    ):
        found = [cohort(day, counts) for day in days(FIRST, 20)]
        added = adding(store).added(results(model, found, NOW), model)
        (revision,) = added.revisions
        assert revision.attributions
        assert revision.attributions.persistent
        config = Config(store.root, (model,), clock="event")
        RetrainingRequests(config, store).judged(added)
        requests = list(retraining_files.read_all(store))
        assert len(requests) == expected
    context = requests[0].content["context"]["attributions"]
    assert context.keys() == contract("retraining_request")["attributions"].keys()
    assert (context["day"], context["drifted"]) == ("2026-11-19", True)
