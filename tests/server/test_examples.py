"""examples.json: a model that answers otherwise than the fitted one is not served."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from onnx import helper
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks.model_folder import write_model_folder
from slipway.cli import cli
from tests.server.conftest import COLUMNS, Tiny
from tests.server.test_independence import prepared, refusal
from tests.support.graphs import Declared, write_graph
from tests.support.model_server import ModelServer, request, run_to_the_end
from toolchain import paths


def write_categories(folder: Path) -> Path:
    """Six categories of which 1 and 4 are positive, lost by the export in silence.

    skl2onnx 1.20 turns the split of a category into a comparison of numbers.
    """
    rows = np.tile(np.arange(6, dtype=np.float32), 40)[:, None]
    labels = np.isin(rows[:, 0], (1, 4)).astype(np.int64)
    fitted = HistGradientBoostingClassifier(
        categorical_features=[0], max_iter=20, min_samples_leaf=1
    ).fit(rows, labels)
    six = rows[:6]
    assert fitted.predict(six).tolist() == [0, 1, 0, 0, 1, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        graph = to_onnx(
            fitted,
            six,
            options={id(fitted): {"zipmap": False}},
            target_opset={"": 18, "ai.onnx.ml": 3},
        )
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    (folder / "model.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "categories",
                "version": "1",
                "revision": "r1",
                "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 1]}],
                "outputs": [
                    {"name": "label", "datatype": "INT64", "shape": [-1]},
                    {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
                ],
            }
        )
    )
    write_examples(
        folder,
        {"X": six.tolist()},
        {
            "label": fitted.predict(six).tolist(),
            "probabilities": fitted.predict_proba(six).tolist(),
        },
    )
    return folder


def write_examples(folder: Path, inputs: Any, outputs: Any, **more: Any) -> None:
    content = {"inputs": inputs, "outputs": outputs, **more}
    (folder / "examples.json").write_text(json.dumps(content))


def test_categories_lost_by_the_export(tmp_path: Path) -> None:
    """The original is right; the folder is refused by server and check alike."""
    folder = write_categories(tmp_path / "models/categories")
    (problem,) = refusal(folder)
    assert problem.startswith("categories: version 1: examples: ")
    assert "of 6 answers differ (row " in problem
    settings = {"MODELS": str(folder.parent), "PORT": "0", "PREDICTION_LOG": ""}
    run = run_to_the_end(settings)
    assert run.returncode == 1
    assert problem in run.stdout
    checked = CliRunner().invoke(cli, ["models", "check", str(folder)])
    assert checked.exit_code == 1
    assert problem in checked.output


def test_a_wrong_model_holds_the_whole_server_back(tiny: Tiny, tmp_path: Path) -> None:
    from model_server.check import check
    from model_server.config import read

    write_categories(tmp_path / "categories")
    write_model_folder(tmp_path, tiny.classifier, COLUMNS)
    found, problems = check(tmp_path, read({}))
    assert [item.model.manifest.name for item in found] == ["tiny"]
    assert len(problems) == 1
    with (
        pytest.raises(RuntimeError, match="answers differ"),
        ModelServer(tmp_path, tmp_path / "log", PREDICTION_LOG=""),
    ):
        pass


def test_a_right_model_is_served(tiny: Tiny, tmp_path: Path, log_folder: Path) -> None:
    folder = write_model_folder(tmp_path / "models", tiny.classifier, COLUMNS)
    rows = tiny.rows[:300]
    answers = {
        "label": tiny.classifier.predict(rows).tolist(),
        "probabilities": tiny.probabilities()[:300].tolist(),
    }
    write_examples(folder, {"X": rows.tolist()}, answers)
    checked = CliRunner().invoke(cli, ["models", "check", str(folder.parent)])
    assert (checked.exit_code, checked.output) == (
        0,
        "tiny 1: each row is answered by itself; all 300 examples agree\n",
    )
    with ModelServer(tmp_path / "models", log_folder) as server:
        body = request([1, 2, 3, 4], COLUMNS)
        assert server.client.post("/infer", json=body).status_code == 200
        (loaded,) = [it for it in server.logs() if it["message"] == "model loaded"]
        assert loaded["examples"] == 300
    answers["probabilities"][41][0] += 2e-5
    write_examples(folder, {"X": rows.tolist()}, answers)
    (problem,) = refusal(folder)
    assert "examples: 1 of 300 answers differ (row 41: probabilities [" in problem
    write_examples(folder, {"X": rows.tolist()}, answers, tolerance=1e-4)
    assert prepared(folder).examples == 300


def write_double(folder: Path, **settings: Any) -> Path:
    """A model that doubles a number, and says which text and flag go with it."""
    return write_graph(
        folder,
        [
            helper.make_node("Add", ["x", "x"], ["y"]),
            helper.make_node("Less", ["x", "zero"], ["negative"]),
            helper.make_node("Log", ["x"], ["log"]),
        ],
        [("x", "FP32", [])],
        [("y", "FP32", []), ("negative", "BOOL", []), ("log", "FP32", [])],
        {"zero": np.array(0, np.float32)},
        **settings,
    )


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ({"y": [2, -4]}, ""),
        ({"y": [2.000001, -4.00001], "negative": [False, True]}, ""),
        ({"log": [0, None]}, ""),
        ({"log": [0, -0.5]}, "1 of 2 answers differ (row 1: log null, expected -0.5)"),
        (
            {"log": [None, None]},
            "1 of 2 answers differ (row 0: log 0.0, exp",
        ),
        ({"y": [2, -4.1]}, "1 of 2 answers differ (row 1: y -4.0, expected -4.1)"),
        ({"y": [[2], -4]}, "row 0: y 2.0, expected [2]"),
        ({"negative": [0, 1]}, "2 of 2 answers differ (row 0: negative false, exp"),
        ({"y": [2, 1], "negative": [True, True]}, "2 of 2 answers differ (row 0: neg"),
    ],
)
def test_answers(tmp_path: Path, outputs: dict[str, Any], words: str) -> None:
    """Numbers within the tolerance, all else equal; null where there is no number."""
    folder = write_double(tmp_path / "double")
    write_examples(folder, {"x": [1, -2]}, outputs)
    if words:
        assert words in refusal(folder)[0]
    else:
        assert prepared(folder).examples == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "examples.json: not JSON: "),
        ("[]", "examples.json: must be an object with inputs and outputs"),
        ({}, "inputs: must be an object with a list of rows for x"),
        (
            {"inputs": {"x": [1]}},
            "outputs: must be an object with a list",
        ),
        (
            {"inputs": {"x": [1]}, "outputs": {"z": [1]}},
            "outputs.z: the model has y, negative, log",
        ),
        (
            {"inputs": {"x": [1]}, "outputs": {"y": [1, 2]}},
            "outputs and inputs have different numbers of rows",
        ),
        (
            {"inputs": {"x": [1, 2]}, "outputs": {"y": [2, 4], "log": [0]}},
            "outputs: has different numbers of rows: y 2, log 1",
        ),
        (
            {"inputs": {"x": ["1"]}, "outputs": {"y": [2]}},
            "inputs: row 0: inputs[0].data: value 0 (row by row) is",
        ),
        (
            {"inputs": {"x": [1]}, "outputs": {"y": [2]}, "tolerance": "1e-3"},
            "tolerance: '1e-3' must be a number from 0 and below 1",
        ),
        (
            {"inputs": {"x": [1]}, "outputs": {"y": [2]}, "tolerence": 1},
            "tolerence: no such key",
        ),
    ],
)
def test_examples_that_are_none(tmp_path: Path, content: Any, words: str) -> None:
    folder = write_double(tmp_path / "double")
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "examples.json").write_text(text)
    problems = refusal(folder)
    assert any(words in problem for problem in problems)
    assert all(str(folder / "examples.json") in problem for problem in problems)


def test_a_folder_without_models(tmp_path: Path) -> None:
    checked = CliRunner().invoke(cli, ["models", "check", str(tmp_path)])
    assert checked.exit_code == 1
    assert "holds no model.yaml and no folder with one" in checked.output
    checked = CliRunner().invoke(cli, ["models", "check", str(tmp_path / "none")])
    assert checked.exit_code == 2


def test_rows_that_belong_together_are_one_request(tmp_path: Path) -> None:
    x: Declared = ("x", "FP32", [])
    y: Declared = ("y", "FP32", [])
    nodes = [helper.make_node("Softmax", ["x"], ["y"], axis=0)]
    folder = write_graph(tmp_path / "m", nodes, [x], [y], rows="dependent")
    shares = np.exp([1.0, 2.0, 4.0])
    write_examples(folder, {"x": [1, 2, 4]}, {"y": (shares / shares.sum()).tolist()})
    found = prepared(folder, max_batch_rows=2, max_request_rows=2)
    assert (found.runs_apart, found.examples) == (True, 3)


def test_the_how_to_writes_a_folder_that_is_served(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And stops where the export answers otherwise."""
    page = (paths.ROOT / "docs/how-to/serve-a-model.md").read_text()
    program = page.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    names = {"classifier": tiny.classifier, "rows": tiny.rows[:200]}
    exec(program, dict(names))
    found = prepared(tmp_path / "models/tiny")
    assert (found.runs_apart, found.examples) == (False, 100)
    monkeypatch.setattr(tiny.classifier, "predict", lambda rows: np.ones(len(rows)))
    with pytest.raises(AssertionError, match="the export answers otherwise"):
        exec(program, dict(names))
