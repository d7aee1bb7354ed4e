"""Attributions of real ONNX models: values, intervals, bounds, what is filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_attributions import job
from model_attributions.columns import UnfitError
from model_attributions.job import DayError
from model_attributions.monitor import Sample, Work
from model_attributions.pace import Pace
from model_attributions.permutation import estimate, orders
from model_server.model import Model, load_model
from onnx import helper, numpy_helper

from tests.support.contracts import contract
from tests.support.onnx_models import entry, write_model

WEIGHTS = np.array([2.0, 1.0, 0.5, 0.0], np.float32)
FEATURES = ("a", "b", "c", "d")
BINARY = Work(["2026-11-28"], "binary", "1")
DAY = "2026-11-28"
ROWS = 2000


def linear(folder: Path, *, as_score: bool = True, **settings: Any) -> Model:
    """A model whose only output is 2a + b + c/2, and in which d has no part."""
    output = "probability" if as_score else "y"
    nodes = [helper.make_node("MatMul", ["input", "w"], [output])]
    name = "score" if as_score else "decision"
    return load_model(
        write_model(
            folder,
            nodes,
            [entry("input", "FP32", (-1, 4))],
            [entry(output, "FP32", (-1, 1))],
            initializers=[numpy_helper.from_array(WEIGHTS[:, None], "w")],
            features=list(FEATURES),
            prediction={name: output},
            **settings,
        ),
        threads=1,
    )


def sample(
    rows: int = ROWS, seed: int = 1, features: Sequence[str] = FEATURES
) -> Sample:
    """Normal values, the scores of the model, labels that follow the first feature."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, 4)).astype(np.float32).astype(float)
    scores = values @ WEIGHTS.astype(float)
    columns = {name: values[:, FEATURES.index(name)].tolist() for name in features}
    labels = [str(int(it)) for it in values[:, 0] > 0]
    return Sample(rows, columns, scores.tolist(), labels)


def attributed(
    model: Model,
    of: Sample,
    work: Work = BINARY,
    pace: Pace | None = None,
    repetitions: int = 5,
) -> dict[str, Any]:
    pace = pace or Pace(1e9, 1e9)
    return job.attributed(model, DAY, of, work, repetitions=repetitions, pace=pace)


def by_name(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {it["feature"]: it for it in found["features"]}


def all_pairs(column: Sequence[float], weight: float) -> float:
    """The mean change over every pair of rows: what permutations estimate."""
    values = np.sort(column)
    n = len(values)
    gaps = 2 * (values * (2 * np.arange(n) - n + 1)).sum() / (n * (n - 1))
    return abs(weight) * float(gaps)


def test_values_are_the_mean_change_over_pairs(tmp_path: Path) -> None:
    of = sample()
    found = attributed(linear(tmp_path / "m"), of, repetitions=20)
    names = by_name(found)
    for name, weight in zip(FEATURES, WEIGHTS.tolist(), strict=True):
        exact = all_pairs(of.features[name], weight)
        assert names[name]["value"] == pytest.approx(exact, rel=0.02)
    assert names["d"]["value"] == names["d"]["standard_error"] == 0
    assert found["disagreement"] < 1e-6
    assert (found["rows"], found["repetitions"], found["filled"]) == (ROWS, 20, [])
    assert found["outcome"] == "score"


def test_the_loss_grows_by_what_scikit_learn_measures(tmp_path: Path) -> None:
    """The same permutations, made from the same seed."""
    from sklearn.metrics import mean_squared_error

    of = sample()
    found = by_name(attributed(linear(tmp_path / "m"), of, repetitions=5))
    values = np.column_stack([of.features[it] for it in FEATURES])
    truth = np.array(of.labels, float)
    as_is = mean_squared_error(truth, values @ WEIGHTS.astype(float))
    order = orders(ROWS, 5, np.random.default_rng(job.seed("r1", DAY)))
    for column, name in enumerate(FEATURES):
        grown = []
        for once in order:
            permuted = values.copy()
            permuted[:, column] = values[once, column]
            scores = permuted @ WEIGHTS.astype(float)
            grown.append(mean_squared_error(truth, scores) - as_is)
        assert found[name]["loss"] == pytest.approx(np.mean(grown), abs=1e-5)
        assert (
            found[name]["loss_low"] <= found[name]["loss"] <= found[name]["loss_high"]
        )


def test_intervals_cover_the_population_as_often_as_they_say() -> None:
    """600 samples of 150 normal rows; the mean change is 2 / sqrt(pi)."""
    random = np.random.default_rng(3)
    covered = only_changed = 0
    for _ in range(600):
        values = random.normal(size=150)
        order = orders(150, 5, random)
        changes = np.abs(values[None, :] - values[order])
        found = estimate(changes, order)
        assert found
        covered += found.low <= 2 / np.sqrt(np.pi) <= found.high
        # The error of a row's own change alone would be too small.
        error = changes.mean(axis=0).std(ddof=1) / np.sqrt(150)
        only_changed += abs(changes.mean() - 2 / np.sqrt(np.pi)) <= 1.96 * error
    # 0.95 +- 3 standard errors of a share of 600, and a little above for small samples.
    assert 0.92 <= covered / 600 <= 0.98
    assert only_changed / 600 < 0.92


def test_intervals_of_the_labelled_rows_alone() -> None:
    """Half of the rows have a change: the mean is theirs, the error larger."""
    random = np.random.default_rng(4)
    covered, errors = 0, []
    for _ in range(400):
        values = random.normal(size=200)
        order = orders(200, 5, random)
        changes = np.abs(values[None, :] - values[order])
        whole = estimate(changes, order)
        changes[:, random.random(200) < 0.5] = np.nan
        found = estimate(changes, order)
        assert found
        assert whole
        covered += found.low <= 2 / np.sqrt(np.pi) <= found.high
        errors.append(found.error / whole.error)
    assert 0.91 <= covered / 400 <= 0.985
    assert 1.05 < np.mean(errors) < 1.6
    assert estimate(np.full((2, 5), np.nan), orders(5, 2, random)) is None


def test_the_same_sample_gives_the_same_numbers(tmp_path: Path) -> None:
    model = linear(tmp_path / "m")
    assert attributed(model, sample()) == attributed(model, sample())


def reference(folder: Path, **features: Any) -> None:
    (folder / "reference.json").write_text(json.dumps({"features": features}))


def test_inputs_that_are_not_logged_are_drawn_and_not_attributed(
    tmp_path: Path,
) -> None:
    model = linear(tmp_path / "m")
    reference(
        tmp_path / "m",
        a={"histogram": {"edges": [0, 10, 20], "counts": [0, 50]}},
        d={"categories": {"0": 1, "1": 3}},
    )
    of = sample(features=("b", "c"))
    found = attributed(model, of)
    assert found["filled"] == ["a", "d"]
    assert set(by_name(found)) == {"b", "c"}
    exact = all_pairs(of.features["b"], 1.0)
    assert by_name(found)["b"]["value"] == pytest.approx(exact, rel=0.05)
    # The scores of the log had another a, of about 15 more.
    assert 25 < found["disagreement"] < 35


def test_what_is_neither_logged_nor_described_is_an_error(tmp_path: Path) -> None:
    model = linear(tmp_path / "m")
    of = sample(features=("a", "b", "c"))
    with pytest.raises(UnfitError, match=r"reference\.json: cannot be read"):
        attributed(model, of)
    reference(tmp_path / "m", a={"categories": {"1": 1}})
    with pytest.raises(UnfitError, match="feature d is not logged and not in"):
        attributed(model, of)
    reference(tmp_path / "m", d={"categories": {}})
    with pytest.raises(UnfitError, match=r"features\.d"):
        attributed(model, of)


def test_single_missing_values(tmp_path: Path) -> None:
    of = sample()
    holes = {**of.features, "a": [None, *of.features["a"][1:]]}
    found = attributed(linear(tmp_path / "m"), replace(of, features=holes))
    assert by_name(found)["a"]["value"] > 0
    with pytest.raises(UnfitError, match="feature a: a value is not FP32"):
        attributed(
            linear(tmp_path / "n"),
            replace(of, features={**of.features, "a": ["x"] * ROWS}),
        )


@pytest.mark.parametrize("rows", [0, 99])
def test_too_few_rows_are_no_sample(tmp_path: Path, rows: int) -> None:
    with pytest.raises(DayError, match="100 are needed"):
        attributed(linear(tmp_path / "m"), sample(rows))


def test_without_labels_there_is_no_loss(tmp_path: Path) -> None:
    of = sample()
    few = replace(of, labels=["1"] * 99 + [None] * (ROWS - 99))
    found = attributed(linear(tmp_path / "m"), few)
    assert (found["loss"], found["labelled"]) == (None, 99)
    assert by_name(found)["a"]["loss"] is None
    found = attributed(linear(tmp_path / "m2"), of)
    assert (found["loss"], found["labelled"]) == ("brier", ROWS)


def test_a_regression_is_measured_in_its_own_unit(tmp_path: Path) -> None:
    model = linear(tmp_path / "m", as_score=False)
    of = sample()
    labels: list[str | None] = [str(it) for it in of.scores]
    found = attributed(model, replace(of, labels=labels), Work([DAY], "regression", ""))
    assert (found["outcome"], found["loss"]) == ("decision", "mae")
    assert found["disagreement"] is None
    for it in found["features"]:
        # Without an error at first, every change is one.
        assert it["loss"] == pytest.approx(it["value"], rel=1e-4)


def classes(folder: Path) -> Model:
    """Text and a number in; three classes by softmax, and the greatest of them."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["raw"]),
        helper.make_node("Softmax", ["raw"], ["probability"]),
        helper.make_node("ArgMax", ["probability"], ["label"], axis=1, keepdims=0),
        helper.make_node("Identity", ["word"], ["echo"]),
    ]
    weights = numpy_helper.from_array(np.array([[3.0, 0.0, -3.0]], np.float32), "w")
    return load_model(
        write_model(
            folder,
            nodes,
            [entry("x", "FP32", (-1, 1)), entry("word", "BYTES", (-1, 1))],
            [
                entry("label", "INT64", (-1,)),
                entry("probability", "FP32", (-1, 3)),
                entry("echo", "BYTES", (-1, 1)),
            ],
            initializers=[weights],
        ),
        threads=1,
    )


def test_several_classes_and_text(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    x = random.normal(size=500).astype(np.float32).astype(float)
    words = random.choice(["u", "v"], 500).tolist()
    labels = np.where(x > 0, "0", "2").tolist()
    of = Sample(500, {"x": x.tolist(), "word": words}, [None] * 500, labels)
    found = attributed(classes(tmp_path / "m"), of, Work([DAY], "multiclass", ""))
    assert (found["outcome"], found["loss"]) == ("score", "error_rate")
    names = by_name(found)
    assert names["word"]["value"] == names["word"]["loss"] == 0
    raw = np.exp(np.outer(x, [3.0, 0.0, -3.0]))
    scores = raw / raw.sum(axis=1, keepdims=True)
    changes = np.abs(scores[:, None, :] - scores[None, :, :]).sum(axis=2) / 2
    exact = changes.sum() / (500 * 499)
    assert names["x"]["value"] == pytest.approx(exact, rel=0.05)
    # A permuted row has the other class in half of the cases.
    assert names["x"]["loss"] == pytest.approx(0.5, abs=0.06)


class Time:
    """A clock that sleeping moves on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def test_the_model_is_given_no_more_rows_a_second_than_allowed(
    tmp_path: Path,
) -> None:
    time = Time()
    pace = Pace(1000, 1e9, time, time.sleep)
    attributed(linear(tmp_path / "m"), sample(), pace=pace, repetitions=3)
    # The sample once, and each of four features three times; the last part is free.
    assert time.slept == pytest.approx((1 + 4 * 3) * ROWS / 1000, abs=1.1)


def test_when_time_is_over_whole_repetitions_count(tmp_path: Path) -> None:
    model = linear(tmp_path / "m")
    time = Time()
    # Enough for the sample and 13 features: three repetitions and a half.
    pace = Pace(1000, 14 * ROWS / 1000, time, time.sleep)
    found = attributed(model, sample(), pace=pace, repetitions=50)
    assert found["repetitions"] == 3
    time = Time()
    pace = Pace(1000, 5 * ROWS / 1000, time, time.sleep)
    with pytest.raises(DayError, match="1 repetitions within its time"):
        attributed(model, sample(), pace=pace, repetitions=50)
    pace = Pace(1000, 0.5, time, time.sleep)
    with pytest.raises(DayError, match="0 repetitions within its time"):
        attributed(model, sample(), pace=pace)


def test_it_is_what_the_contract_says(tmp_path: Path) -> None:
    found = {**attributed(linear(tmp_path / "m"), sample()), "model": "m"}
    agreed = contract("attributions")
    assert found.keys() == agreed["fields"].keys()
    for it in found["features"]:
        assert it.keys() == agreed["feature"].keys()
    assert found["loss"] in agreed["losses"]
    assert found["schema"] == agreed["schema"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"rows": "dependent"}, "a row's score depends on the others'")],
)
def test_models_without_single_rows_are_refused(
    tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    model = linear(tmp_path / "m", **settings)
    with pytest.raises(UnfitError, match=reason):
        attributed(model, sample())
