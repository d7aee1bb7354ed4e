"""The real model against the numbers published with its data, and against ONNX."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import yaml

from models.employment import training
from models.employment.training import classifier, onnx_export
from slipway import images
from slipway.images.models import downloads

# Accuracy, precision, recall, F1 and AUC of the predictions that the data set carries.
GIVEN = {
    2015: (0.8272, 0.8000, 0.8685, 0.8329, 0.9034),
    2016: (0.8253, 0.8042, 0.8610, 0.8316, 0.9020),
    2017: (0.8292, 0.8115, 0.8602, 0.8352, 0.9051),
    2018: (0.8282, 0.8108, 0.8608, 0.8350, 0.9057),
}
MARGIN = 0.002
"""Half of what a difference of two accuracies on 70,000 rows may be by chance."""


@pytest.fixture(scope="module")
def folder() -> Path:
    return images.model_folder("employment")


@cache
def census() -> training.Census:
    return training.load(downloads())


def card(folder: Path) -> Any:
    return yaml.safe_load((folder / "model.yaml").read_text())


def test_the_data_are_the_published_ones(folder: Path) -> None:
    config = training.Configuration.read()
    wheel = (
        downloads() / f"{config.data.distribution}-{config.data.version}-py3-none-any"
    )
    parts = []
    for member in (config.data.reference, config.data.later):
        found = duckdb.execute(
            "select id, predicted_probability from read_parquet(?)",
            [str(wheel / member)],
        ).fetchnumpy()
        parts.append(np.column_stack([found["id"], found["predicted_probability"]]))
    given = np.concatenate(parts)
    scores = given[np.argsort(given[:, 0]), 1]
    rows = census()
    assert len(rows.labels) == 277_677
    for year, expected in GIVEN.items():
        mask = rows.years == year
        shown = classifier.evaluate(scores[mask], rows.labels[mask]).rounded()
        del shown["rows"]
        assert tuple(shown.values()) == expected, year


@pytest.mark.parametrize("year", [2016, 2017, 2018])
def test_our_model_is_as_good_in_years_it_has_not_seen(folder: Path, year: int) -> None:
    shown = card(folder)["metrics"][year]
    accuracy, _, _, f1, auc = GIVEN[year]
    assert shown["accuracy"] >= accuracy - MARGIN
    assert shown["f1"] >= f1 - MARGIN
    assert shown["auc"] >= auc - MARGIN


def test_onnx_equals_scikit_learn_on_every_row(folder: Path) -> None:
    model = training.fitted_model(folder)
    onnx = (folder / "model.onnx").read_bytes()
    assert onnx_export.check(onnx, model, census().features) <= 1e-6


def test_real_rows_are_rows_of_the_year_with_their_probabilities(folder: Path) -> None:
    rows, expected = images.real_rows("employment", 1000)
    again, _ = images.real_rows("employment", 1000)
    assert rows.dtype == np.float32
    assert (rows == again).all()
    known = {row.tobytes() for row in census().year(2018).features}
    assert all(row.tobytes() in known for row in rows)
    assert len({row.tobytes() for row in rows}) > 900
    _, probabilities = onnx_export.predict(
        (folder / "model.onnx").read_bytes(), np.ascontiguousarray(rows)
    )
    assert np.abs(probabilities - expected).max() <= 1e-6
