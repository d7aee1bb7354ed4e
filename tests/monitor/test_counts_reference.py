"""References: what the training writes is read, and what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from model_monitor.counts.reference import UnreadableReferenceError, read_reference

from models.employment.training import reference as training_reference
from models.employment.training.config import Configuration
from models.employment.training.data import Census

GOOD: dict[str, Any] = {
    "revision": "sha256:1",
    "rows": 6,
    "year": 2015,
    "features": {
        "age": {
            "kind": "integer",
            "histogram": {"edges": [0, 5, 10], "counts": [2, 4]},
        },
        "kind": {"kind": "category", "categories": {"1": 5, "2": 1}, "missing": 2},
    },
}


def write(folder: Path, content: object, card: object = None) -> Path:
    path = folder / "reference.json"
    path.write_text(json.dumps(content))
    if card is not None:
        (folder / "model.yaml").write_text(yaml.safe_dump(card))
    return path


def test_what_the_training_writes_is_read(tmp_path: Path) -> None:
    config = Configuration.read()
    chance = np.random.default_rng(0)
    columns = [
        chance.integers(it.minimum, it.maximum + 1, 500).astype(np.float32)
        for it in config.features
    ]
    census = Census(
        np.arange(500),
        np.full(500, 2015),
        np.column_stack(columns),
        chance.integers(0, 2, 500),
    )
    scores = chance.random(500)
    found = read_reference(
        write(tmp_path, training_reference.statistics(census, scores, config))
    )
    assert [it.name for it in found.features] == config.names
    assert found.rows == 500
    for feature, column, variable in zip(
        config.features, columns, found.features, strict=True
    ):
        assert variable.is_categorical == (feature.kind == "category")
        assert sum(variable.counts) == 500
        if variable.is_categorical:
            assert variable.categories == tuple(
                str(int(it)) for it in np.unique(column)
            )
    assert found.decisions == {
        "0": int((scores <= 0.5).sum()),
        "1": int((scores > 0.5).sum()),
    }
    assert found.score.bins == 20
    assert sum(found.score.counts) == 500


def test_a_small_reference(tmp_path: Path) -> None:
    found = read_reference(write(tmp_path, GOOD))
    age, kind = found.features
    assert (age.edges, age.counts, age.bins) == ((0.0, 5.0, 10.0), (2, 4), 2)
    assert (kind.categories, kind.counts, kind.missing) == (("1", "2"), (5, 1), 2)
    assert found.metrics == {}
    assert found.score.bins == 20
    assert not found.score.counts


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"accuracy": 0.8, "note": "text"}, {"accuracy": 0.8}),
        ({2014: {"accuracy": 0.7}, 2015: {"accuracy": 0.8}}, {"accuracy": 0.8}),
        ({2013: {"accuracy": 0.7}, 2014: {"accuracy": 0.75}}, {"accuracy": 0.75}),
        ({}, {}),
    ],
)
def test_metrics_are_those_of_the_model(
    tmp_path: Path, metrics: object, expected: dict[str, float]
) -> None:
    found = read_reference(write(tmp_path, GOOD, {"metrics": metrics}))
    assert found.metrics == expected


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"rows": None}, "TypeError"),
        (
            {"features": {"age": {"histogram": {"edges": [0], "counts": []}}}},
            "0 counts",
        ),
        (
            {"features": {"age": {"histogram": {"edges": [0, 1], "counts": [1, 2]}}}},
            "2 counts for 1 bins; give one count for each bin",
        ),
        (
            {
                "features": {
                    "age": {"histogram": {"edges": [0, 2, 1], "counts": [1, 2]}}
                }
            },
            "features.age: edges do not rise; sort them",
        ),
        ({"features": {"kind": {"categories": {"a": -1}}}}, "a count is negative"),
        ({"features": {"kind": {}}}, "KeyError: 'histogram'"),
    ],
)
def test_a_wrong_reference_is_named(
    tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    path = write(tmp_path, GOOD | change)
    with pytest.raises(UnreadableReferenceError, match=text) as raised:
        read_reference(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_reference_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        UnreadableReferenceError, match=r"cannot be read as JSON .*mount the model"
    ):
        read_reference(tmp_path / "reference.json")


def test_the_digest_is_that_of_the_bins_alone(tmp_path: Path) -> None:
    digests = set()
    for change in (
        {},
        {"rows": 9},
        {"features": {"age": GOOD["features"]["age"]}},
        {"features": GOOD["features"] | {"kind": {"categories": {"1": 5, "3": 1}}}},
    ):
        found = read_reference(write(tmp_path, GOOD | change))
        digests.add(found.bins_digest())
    assert len(digests) == 3
