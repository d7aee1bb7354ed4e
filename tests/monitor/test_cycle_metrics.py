"""What a scrape shows: the families of the contract, no more, no less."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from model_monitor import config
from model_monitor.attributions.collector import AttributionsCollector
from model_monitor.config import Config, Model, Quality
from model_monitor.counts.counts import STEPS, Counts, Losses
from model_monitor.counts.reference import Reference, Variable
from model_monitor.figures.results import (
    Attribution,
    Attributions,
    Figure,
    Results,
)
from model_monitor.labels import JoinResult
from model_monitor.metrics import OTHERS, CycleState, ResultsCollector
from model_monitor.receiver import Counters
from model_monitor.retraining.collector import RetrainingCollector
from model_monitor.retraining.requests import RetrainingRequests
from model_monitor.retraining.settings import Retraining, address
from model_monitor.store import IngestResult, Store
from model_monitor.store.checks import FIXES
from model_monitor.store.quarantine import FILE_FIXES
from prometheus_client import (
    CollectorRegistry,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.parser import text_string_to_metric_families

from tests.support.contracts import contract
from tests.support.monitor_cohorts import binned, cohort, confused, days, results

FIRST = dt.date(2026, 11, 1)
NOW = dt.datetime(2026, 11, 5, tzinfo=dt.UTC)
FEATURES = tuple(
    Variable(f"f{number}", edges=(0.0, 1.0, 2.0), counts=(5000, 5000))
    for number in range(4)
)
REFERENCE = Reference(
    rows=10_000,
    features=FEATURES,
    score=Variable("score", edges=(0.0, 0.5, 1.0), counts=(5000, 5000)),
    decisions={"0": 5000, "1": 5000},
    metrics={"accuracy": 0.9},
)
MODEL = Model(
    "m",
    label_horizon_days=0,
    quality=(Quality("accuracy"),),
    drift=config.Drift(features=2),
    fairness=config.Fairness(("SEX",)),
    review_by=dt.date(2026, 11, 4),
    approved_revisions=("r2",),
)


def counts() -> Counts:
    """A day of 1,000 rows: f1 and f3 have drifted, f2 is missing in a fifth."""
    import numpy as np

    found = confused(300, 200, 200, 300)
    scored = np.zeros((2, STEPS + 1), np.int64)
    scored[0, 10_000], scored[1, 90_000] = 500, 500
    found.scored, found.losses = scored, Losses(1000, 10.0, 105.36)
    found.score = binned((400, 600))
    found.features = {
        "f0": binned((500, 500)),
        "f1": binned((300, 700)),
        "f2": binned((400, 400), missing=200),
        "f3": binned((250, 750)),
    }
    found.members = {
        "SEX": Counter({("1", 1, 1): 400, ("1", 0, 0): 100, ("2", 0, 1): 500})
    }
    return found


def until(now: dt.datetime, **revisions: int) -> Results:
    """Each revision answers, one after the other, up to a day of the month."""
    cohorts, start = [], 0
    for revision, end in revisions.items():
        cohorts += [
            cohort(day, counts(), REFERENCE, revision)
            for day in days(FIRST + dt.timedelta(days=start), end - start)
        ]
        start = end
    return results(MODEL, cohorts, now, REFERENCE)


def whole(now: dt.datetime = NOW) -> Results:
    cohorts = [cohort(day, counts(), REFERENCE) for day in days(FIRST, 4)]
    return results(MODEL, cohorts, now, REFERENCE)


def scrape(
    found: Results, clock: str = "wall", state: CycleState | None = None
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Samples by name and labels."""
    settings = Config(Path(), (MODEL,), clock=clock)  # type: ignore[arg-type]
    values = json.loads(found.content())
    later = NOW + dt.timedelta(hours=1)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(
        ResultsCollector(
            settings, lambda: [values], state or CycleState(), lambda: later
        )
    )
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: dict[Any, float], name: str, **labels: str) -> float | None:
    return samples.get((name, tuple(sorted(labels.items()))))


def attributed() -> dict[str, Any]:
    """Results of which the revision has attributions."""
    figure = Figure(0.2, 0.1, 0.3)
    feature = Attribution("f0", figure, 1.0, figure, None)
    found = Attributions(
        "2026-11-04",
        1000,
        "score",
        (),
        (feature,),
        ("2026-11-01",),
        (),
        *(1.0,) * 3,
        detected=False,
        persistent=False,
    )
    results_ = whole()
    (revision,) = results_.revisions
    more = replace(revision, attributions=found, days_without_attributions=0)
    return replace(results_, revisions=(more,)).to_json()


def requested(store: Store) -> Config:
    """The configuration of a store with a request to retrain, and a webhook."""
    RetrainingRequests(Config(store.root, (MODEL,)), store).judged(whole())
    webhook = Retraining(webhook=address("http://127.0.0.1:9/"))
    return Config(store.root, (MODEL,), retraining=webhook)


def test_a_scrape_shows_the_families_of_the_contract(tmp_path: Path) -> None:
    families = contract("monitor_metrics")["metrics"]
    registry = CollectorRegistry(auto_describe=False)
    counters = Counters(registry)
    counters.ingested(
        IngestResult(Counter(ingested=1), Counter(m=3), quarantined=Counter(bad=1))
    )
    counters.joined(JoinResult(joined=1))
    registry.register(
        ResultsCollector(
            Config(Path(), (MODEL,)), lambda: [whole().to_json()], CycleState()
        )
    )
    with Store(tmp_path).opened() as store:
        registry.register(RetrainingCollector(requested(store), store))
    registry.register(
        AttributionsCollector(Config(Path(), (MODEL,)), lambda: [attributed()])
    )
    disable_created_metrics()
    text = generate_latest(registry).decode()
    shown = {it.name: it for it in text_string_to_metric_families(text)}
    expected = {
        name.removesuffix("_total") if it["kind"] == "counter" else name: it
        for name, it in families.items()
    }
    assert set(shown) == set(expected)
    for name, family in shown.items():
        assert family.type == expected[name]["kind"]
        assert family.documentation == expected[name]["meaning"]
        assert family.samples, name
        for sample in family.samples:
            assert sample.name in families
            assert set(sample.labels) == set(expected[name]["labels"])


def test_values_are_those_of_the_results() -> None:
    samples = scrape(whole())
    one = {"model": "m", "revision": "r1"}
    quality = one | {"metric": "accuracy", "window": "7d"}
    assert value(samples, "model_quality", **quality) == 0.6
    low = value(samples, "model_quality_low", **quality)
    high = value(samples, "model_quality_high", **quality)
    assert low is not None
    assert high is not None
    assert 0.58 < low < 0.6 < high < 0.62
    assert value(samples, "model_quality_below_baseline", **quality) == 1
    assert value(samples, "model_quality_baseline", model="m", metric="accuracy") == 0.9
    window = one | {"window": "7d"}
    assert value(samples, "model_labelled_predictions", **window) == 4000
    assert value(samples, "model_label_coverage_ratio", **window) == 1
    assert value(samples, "model_concept_drift_detected", **one) == 1
    assert value(samples, "model_unapproved_revision", **one) == 1
    assert value(samples, "model_review_overdue", model="m") == 1
    ratio = one | {"attribute": "SEX", "metric": "demographic_parity_ratio"}
    assert value(samples, "model_fairness", **ratio) == 0
    assert value(samples, "model_fairness_outside_limits", **ratio) == 1
    output = one | {"output": "score"}
    assert value(samples, "model_prediction_drift_detected", **output) == 1


def test_features_beyond_the_first_are_one() -> None:
    samples = scrape(whole())
    one = {"model": "m", "revision": "r1"}
    shown = {
        dict(labels)["feature"]: it
        for (name, labels), it in samples.items()
        if name == "model_drift_detected"
    }
    assert shown == {"f0": 0, "f1": 1, OTHERS: 1}
    others = value(samples, "model_drift_effect", **one, feature=OTHERS)
    first = value(samples, "model_drift_effect", **one, feature="f1")
    assert others is not None
    assert first is not None
    # That of f3, the greater one.
    assert others > first
    violations = {
        (dict(labels)["feature"], dict(labels)["check"])
        for (name, labels), it in samples.items()
        if name == "model_data_quality_violation" and it
    }
    assert violations == {(OTHERS, "missing")}


def test_what_is_undefined_is_absent() -> None:
    cohorts = [cohort(FIRST, Counts(answered=5))]
    samples = scrape(results(MODEL, cohorts, NOW))
    names = {name for name, _ in samples}
    assert "model_quality" not in names
    assert "model_quality_below_baseline" not in names
    assert "model_drift_effect" not in names
    one = {"model": "m", "revision": "r1", "window": "1d"}
    assert value(samples, "model_labelled_predictions", **one) == 0
    assert value(samples, "model_label_coverage_ratio", **one) is None


@pytest.mark.parametrize(("clock", "stale"), [("wall", 1.0), ("event", 0.0)])
def test_the_log_is_stale_by_the_clock_of_the_configuration(
    clock: str, stale: float
) -> None:
    """The newest record is of noon of the fourth day; 3,600 s are allowed."""
    moment = dt.datetime(2026, 11, 4, 12, 30, tzinfo=dt.UTC)
    samples = scrape(whole(moment), clock, CycleState(now=moment))
    assert value(samples, "monitor_log_stale", model="m") == stale
    newest = value(samples, "monitor_log_newest_timestamp_seconds", model="m")
    assert newest == dt.datetime(2026, 11, 4, 12, tzinfo=dt.UTC).timestamp()


def test_the_clock_of_events_is_that_of_the_newest_results() -> None:
    """They are there a moment before the worker says that their pass has ended."""
    before = CycleState(now=dt.datetime(2026, 11, 4, 12, 30, tzinfo=dt.UTC))
    samples = scrape(whole(), "event", before)
    assert value(samples, "monitor_log_stale", model="m") == 1


def test_the_cycle_shows_what_it_did() -> None:
    state = CycleState(ended=17.5, duration=2.0, failures=3, computed=4, quarantined=6)
    samples = scrape(whole(), state=state)
    for name, expected in {
        "monitor_cycle_timestamp_seconds": 17.5,
        "monitor_cycle_duration_seconds": 2.0,
        "monitor_cycle_failures": 3,
        "monitor_cohorts_computed": 4,
        "monitor_quarantined_files": 6,
    }.items():
        assert value(samples, name) == expected


ALERTS = {
    "model_drift_detected",
    "model_prediction_drift_detected",
    "model_data_quality_violation",
    "model_unapproved_revision",
}


def alerting(samples: dict[Any, float], revision: str) -> set[str]:
    """Series of a revision that are 1 for what it does now."""
    return {
        name
        for (name, labels), it in samples.items()
        if name in ALERTS and dict(labels)["revision"] == revision and it
    }


def test_a_revision_that_has_been_replaced_raises_no_alert() -> None:
    later = scrape(until(dt.datetime(2026, 11, 18, tzinfo=dt.UTC), a=10, r2=17))
    assert alerting(later, "a") == set()
    assert value(later, "model_unapproved_revision", model="m", revision="a") == 0
    shown = {name for name, labels in later if ("revision", "a") in labels}
    assert shown & ALERTS == {"model_unapproved_revision"}
    # What it did is told on.
    assert "model_drift_effect" in shown
    # The approved one that answers instead has drifted as well.
    assert alerting(later, "r2") == ALERTS - {"model_unapproved_revision"}


@pytest.mark.parametrize("day", [11, 25])
def test_a_revision_without_a_newer_one_raises_its_alerts(day: int) -> None:
    """Also where the whole log has been silent since."""
    alone = scrape(until(dt.datetime(2026, 11, day, tzinfo=dt.UTC), a=10))
    assert alerting(alone, "a") == ALERTS
    # Another that began a day ago does not say that this one has ended.
    both = scrape(until(dt.datetime(2026, 11, day, tzinfo=dt.UTC), a=9, r2=10))
    assert alerting(both, "a") == ALERTS


def test_of_a_retired_revision_what_needs_labels_is_left() -> None:
    """Seven days are allowed; the one that answers instead is shown as before."""
    now = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
    for end, is_retired in ((17, False), (18, True)):
        found = until(now, a=10, r2=end)
        by_name = {it.revision: it for it in found.revisions}
        assert by_name["a"].is_retired is is_retired
        assert not by_name["r2"].is_retired
        window = by_name["a"].windows["30d"]
        assert [it.verdict for it in window.judgements] == ["below baseline"]
        assert len(by_name["a"].history) == 10
        samples = scrape(found)
        shown = {name for name, labels in samples if ("revision", "a") in labels}
        assert ("model_drift_effect" in shown) is not is_retired
        assert ("model_unapproved_revision" in shown) is not is_retired
        assert "model_concept_cusum" in shown
        below = {"model": "m", "revision": "a", "window": "30d", "metric": "accuracy"}
        assert value(samples, "model_quality_below_baseline", **below) == 1
        assert any(("revision", "r2") in labels for _, labels in samples)


def test_nothing_is_left_of_a_revision_whose_labels_are_over() -> None:
    """Its last rows leave the windows 30 days after their horizon, here of 0 days."""
    for day, is_left in ((10, True), (11, False)):
        found = until(dt.datetime(2026, 12, day, tzinfo=dt.UTC), a=10, r2=40)
        shown = {dict(labels).get("revision") for _, labels in scrape(found)}
        assert ("a" in shown) is is_left
        assert "r2" in shown


def test_results_of_an_earlier_program_are_shown() -> None:
    values = json.loads(whole().content())
    del values["revisions"][0]["is_retired"]
    collector = ResultsCollector(
        Config(Path(), (MODEL,)), lambda: [values], CycleState()
    )
    assert any(it.name == "model_quality" for it in collector.collect())


def test_counters_begin_at_0() -> None:
    """Of a counter that begins at 1, increase() does not see the first event."""
    registry = CollectorRegistry(auto_describe=False)
    Counters(registry)
    disable_created_metrics()
    shown = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }
    meanings = {
        name: it["meaning"]
        for name, it in contract("monitor_metrics")["metrics"].items()
    }
    results_of = {
        "monitor_files_total": "received repeated conflict refused ingested "
        "quarantined failed fetched",
        "monitor_labels_total": "accepted repeated refused joined early given_up",
    }
    for name, words in results_of.items():
        found = {key[1] for key in shown if key[0] == name}
        assert found == set(words.split())
        assert all(word in meanings[name] for word in found)
    reasons = {key[1] for key in shown if key[0] == "monitor_quarantined_total"}
    assert reasons == {*FIXES, *FILE_FIXES}
    assert {"not_json", "too_long", "damaged_gzip", "name_taken"} < reasons
    assert set(shown.values()) == {0.0}


def test_no_series_for_a_group_of_people() -> None:
    """A group's name may be anything that a client sent."""
    samples = scrape(whole())
    labels = {key for _, found in samples for key, _ in found}
    assert labels == {
        *("model", "revision", "metric", "window", "feature", "check"),
        *("output", "attribute"),
    }
