"""The training of the employment model, on a small made-up census."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import yaml

from models.employment.training import (
    classifier,
    data,
    model_folder,
    onnx_export,
    reference,
)
from models.employment.training.config import Configuration

ROWS = 400


def made_up(
    folder: Path, *, hole: bool = False, unlabelled: bool = False
) -> Configuration:
    """A wheel of the real one's shape: ROWS rows of 2015 and as many of 2016."""
    config = Configuration.read()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = data.wheel_path(folder, config.data)
    wheel.write_bytes(content(hole=hole, unlabelled=unlabelled))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return replace(config, data=replace(config.data, sha256=digest))


@functools.cache
def content(*, hole: bool, unlabelled: bool) -> bytes:
    """The wheel; made once, as it takes a second."""
    config = Configuration.read()
    random = np.random.default_rng(7)
    columns = [
        f"{int(v)}"
        for f in config.features
        for v in random.integers(f.minimum, f.maximum, 2 * ROWS, endpoint=True)
    ]
    values = np.array(columns).reshape(len(config.features), 2 * ROWS)
    age = values[0].astype(int)
    label = ((age > 20) & (age < 65)).astype(int)
    rows = []
    for i in range(2 * ROWS):
        cells = [f"'{v}'" for v in values[:, i]]
        if hole and i == 3:
            cells[4] = "null"
        rows.append(f"({i}, {', '.join(cells)}, {label[i]}, {2015 + i // ROWS})")
    names = f"id, {', '.join(config.names)}, employed, year"
    members = {
        config.data.reference: ("*", f"id < {ROWS}"),
        config.data.later: ("* exclude (employed)", f"id >= {ROWS}"),
        config.data.later_labels: ("id, employed", f"id >= {ROWS + 5 * unlabelled}"),
    }
    wheel = io.BytesIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect() as connection,
        zipfile.ZipFile(wheel, "w") as archive,
    ):
        table = f"(values {', '.join(rows)}) as census({names})"
        for member, (selection, condition) in members.items():
            part = Path(folder) / "part"
            # Another order than by id, which `load` must undo.
            connection.execute(
                f"copy (select {selection} from {table} where {condition} "
                f"order by id desc) to '{part}' (format parquet)"
            )
            archive.write(part, member)
    return wheel.getvalue()


@pytest.fixture
def census(tmp_path: Path) -> tuple[Configuration, data.Census]:
    config = made_up(tmp_path)
    return config, data.load(tmp_path, config)


def test_rows_are_in_order_and_labels_joined_by_id(
    census: tuple[Configuration, data.Census],
) -> None:
    config, rows = census
    assert rows.ids.tolist() == list(range(2 * ROWS))
    assert rows.features.shape == (2 * ROWS, 16)
    assert rows.features.dtype == np.float32
    age = rows.features[:, config.names.index("AGEP")]
    assert rows.labels.tolist() == ((age > 20) & (age < 65)).astype(int).tolist()
    assert len(rows.year(2016).labels) == ROWS


def test_another_digest_is_refused(tmp_path: Path) -> None:
    config = made_up(tmp_path)
    wrong = replace(config, data=replace(config.data, sha256="0" * 64))
    with pytest.raises(data.DataError, match=r"has sha256 .* says 0000"):
        data.load(tmp_path, wrong)


def test_a_missing_value_is_refused_with_its_column(tmp_path: Path) -> None:
    config = made_up(tmp_path, hole=True)
    with pytest.raises(data.DataError, match=f"rows of {config.names[4]}"):
        data.load(tmp_path, config)


def test_rows_without_a_label_are_left_out(tmp_path: Path) -> None:
    config = made_up(tmp_path, unlabelled=True)
    assert len(data.load(tmp_path, config).labels) == 2 * ROWS - 5


def fitted(config: Configuration, rows: data.Census, **changes: Any) -> Any:
    parameters = config.classifier | {"max_iter": 10} | changes
    return classifier.fit(rows.year(2015), parameters)


def test_onnx_and_scikit_learn_agree_and_another_model_does_not(
    census: tuple[Configuration, data.Census],
) -> None:
    config, rows = census
    model = fitted(config, rows)
    onnx = onnx_export.export(model, len(config.features))
    assert onnx_export.check(onnx, model, rows.features) <= onnx_export.TOLERANCE
    labels, probabilities = onnx_export.predict(onnx, rows.features[:3])
    assert (labels.dtype, labels.shape) == (np.int64, (3,))
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (3, 2))
    other = fitted(config, rows, learning_rate=0.3)
    with pytest.raises(onnx_export.DisagreementError, match="not faithful"):
        onnx_export.check(onnx, other, rows.features)


def test_metrics_equal_counts_by_hand() -> None:
    found = classifier.evaluate(
        np.array([0.9, 0.8, 0.4, 0.2, 0.7]), np.array([1, 0, 1, 0, 1])
    )
    assert found.rounded() == {
        "rows": 5,
        "accuracy": 0.6,
        "precision": 0.6667,
        "recall": 0.6667,
        "f1": 0.6667,
        "auc": 0.6667,
    }


def test_the_model_folder_is_the_same_twice_and_whole(
    census: tuple[Configuration, data.Census], tmp_path: Path
) -> None:
    config, rows = census
    folders = []
    for name in ("one", "two"):
        model = fitted(config, rows)
        onnx = onnx_export.export(model, len(config.features))
        scores = model.predict_proba(rows.features)[:, 1]
        metrics = {2015: classifier.evaluate(scores, rows.labels)}
        card = model_folder.describe(config, onnx, metrics)
        first = rows.year(2015)
        statistics = reference.statistics(first, scores[:ROWS], config)
        examples = model_folder.examples(model, rows.features)
        model_folder.write(tmp_path / name, onnx, card, statistics, examples)
        folders.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert folders[0] == folders[1]
    assert set(folders[0]) == {
        "examples.json",
        "model.onnx",
        "model.yaml",
        "reference.json",
    }
    card = yaml.safe_load(folders[0]["model.yaml"])
    weights = hashlib.sha256(folders[0]["model.onnx"]).hexdigest()
    assert card["digests"]["model.onnx"] == f"sha256:{weights}"
    assert card["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 16]}]
    assert card["features"] == config.names
    assert card["log"]["protected"] == ["SEX", "RAC1P"]
    assert card["log"]["keep"] == config.names[:14]
    found = json.loads(folders[0]["reference.json"])
    assert found["revision"] == card["revision"]
    found = json.loads(folders[0]["examples.json"])
    expected = model.predict_proba(np.array(found["inputs"]["input"]))
    assert found["outputs"]["probability"] == expected.tolist()
    assert found["outputs"]["label"] == (expected[:, 1] > 0.5).tolist()
    assert len(expected) == model_folder.EXAMPLES


def test_the_revision_follows_data_and_weights(
    census: tuple[Configuration, data.Census],
) -> None:
    config, _ = census
    other = replace(config, data=replace(config.data, sha256="0" * 64))
    revisions = {
        model_folder.describe(c, onnx, {})["revision"]
        for c, onnx in ((config, b"a"), (config, b"b"), (other, b"a"), (config, b"a"))
    }
    assert len(revisions) == 3


def test_reference_statistics_count_every_row_once(
    census: tuple[Configuration, data.Census],
) -> None:
    config, rows = census
    first = rows.year(2015)
    scores = first.labels * 0.8 + 0.1
    found = reference.statistics(first, scores, config)
    assert found["rows"] == ROWS
    for feature in config.features:
        shown = found["features"][feature.name]
        if feature.kind == "category":
            assert sum(shown["categories"].values()) == ROWS
        else:
            assert sum(shown["histogram"]["counts"]) == ROWS
    assert sum(found["score"]["histogram"]["counts"]) == ROWS
    assert set(found["groups"]) == {"SEX", "RAC1P"}
    for groups in found["groups"].values():
        assert sum(group["rows"] for group in groups.values()) == ROWS
        assert sum(g["true_positive"] for g in groups.values()) == first.labels.sum()
    assert found["example"] in first.features[first.labels == 1].tolist()
    assert len(json.dumps(found)) < 16_384


def test_features_of_the_configuration_cover_the_task() -> None:
    config = Configuration.read()
    assert len(config.names) == len(set(config.names)) == 16
    assert [f.name for f in config.features if f.protected] == ["SEX", "RAC1P"]
    assert all(f.minimum < f.maximum and f.description for f in config.features)
