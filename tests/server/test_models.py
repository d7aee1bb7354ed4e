"""Model folders: several models, all datatypes, and folders that are refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper

from benchmarks.model_folder import write_model_folder
from tests.server.conftest import COLUMNS, Tiny
from tests.support.model_server import ModelServer, request, run_to_the_end

ELEMENTS = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "INT8": TensorProto.INT8,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
}


def write_identity(
    folder: Path, tensors: dict[str, str], log: dict[str, Any] | None = None
) -> None:
    """Write a model that gives each input back under the name `<input>_out`."""
    folder.mkdir(parents=True)
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in tensors],
        "identity",
        [
            helper.make_tensor_value_info(name, ELEMENTS[kind], [None, 3])
            for name, kind in tensors.items()
        ],
        [
            helper.make_tensor_value_info(f"{name}_out", ELEMENTS[kind], [None, 3])
            for name, kind in tensors.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    content = {
        "name": folder.name,
        "version": "1",
        "revision": "r1",
        "inputs": [
            {"name": name, "datatype": kind, "shape": [-1, 3]}
            for name, kind in tensors.items()
        ],
        "outputs": [
            {"name": f"{name}_out", "datatype": kind, "shape": [-1, 3]}
            for name, kind in tensors.items()
        ],
        "log": log or {},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(content))


EXTREMES: dict[str, tuple[list[Any], list[Any]]] = {
    "BOOL": ([True, False, True], [1, 0, "true", None]),
    "UINT8": ([0, 1, 255], [256, -1, 1.0, True]),
    "INT8": ([-128, 0, 127], [128, -129, 0.5, False]),
    "INT32": ([-(2**31), 0, 2**31 - 1], [2**31, 1.5, "1", True]),
    "INT64": ([-(2**63), 0, 2**63 - 1], [2**63, 2.0, None, True]),
    "FP16": ([-65504, 0.5, 65504], [70000, "1", True, None]),
    "FP32": ([-3e38, 0.1, 16777217], [3.5e38, "1", True, [1]]),
    "FP64": ([-1.7e308, 0.1, 2**53], ["1", None, True, {}]),
}


def test_every_datatype(tmp_path: Path, log_folder: Path) -> None:
    """Each holds its extremes, gives them back, and refuses what it cannot hold."""
    folder = tmp_path / "models"
    for kind in EXTREMES:
        log = {"keep": ["a[0]", "a[1]", "a[2]"]}
        write_identity(folder / kind.lower(), {"a": kind}, log)
    with ModelServer(folder, log_folder) as server:
        for kind, (good, bad) in EXTREMES.items():
            path = f"/v2/models/{kind.lower()}/infer"

            def ask(data: list[Any], path: str = path, kind: str = kind) -> Any:
                tensor = {"name": "a", "shape": [1, 3], "datatype": kind, "data": data}
                return server.client.post(
                    path, content=json.dumps({"inputs": [tensor]})
                )

            answer = ask(good)
            assert answer.status_code == 200, answer.text
            (output,) = answer.json()["outputs"]
            assert output["datatype"] == kind
            if kind in {"FP16", "FP32"}:
                width = np.float16 if kind == "FP16" else np.float32
                assert output["data"] == [
                    pytest.approx(float(width(value)), rel=1e-6) for value in good
                ]
            else:
                assert output["data"] == good
            for value in bad:
                answer = ask([good[0], value, good[2]])
                assert answer.status_code == 400, (kind, value, answer.text)
                assert "value 1 " in answer.json()["error"]
        answer = server.client.post("/infer", json={})
        assert answer.status_code == 404
        assert "name one: /v2/models/bool/infer" in answer.json()["error"]
        server.stop()
    logged = [
        json.loads(line)
        for file in log_folder.iterdir()
        for line in file.read_text().splitlines()
    ]
    good_records = [record for record in logged if record["status"] == 200]
    assert len(good_records) == len(EXTREMES)
    by_model = {record["model"]: record for record in good_records}
    assert by_model["int64"]["features"] == {
        "a[0]": -(2**63),
        "a[1]": 0,
        "a[2]": 2**63 - 1,
    }
    assert by_model["bool"]["outputs"]["a_out"] == [True, False, True]


def test_several_inputs(tmp_path: Path, log_folder: Path) -> None:
    folder = tmp_path / "models"
    write_identity(folder / "two", {"a": "FP32", "b": "INT64"})
    with ModelServer(folder, log_folder) as server:
        a = {"name": "a", "shape": [2, 3], "datatype": "FP32", "data": [1.5] * 6}
        b = {"name": "b", "shape": [2, 3], "datatype": "INT64", "data": [7] * 6}
        for inputs in ([a, b], [b, a]):
            answer = server.client.post("/infer", json={"inputs": inputs})
            assert [o["data"] for o in answer.json()["outputs"]] == [[1.5] * 6, [7] * 6]
        for inputs, path in (
            ([a], "inputs"),
            ([a, a], "inputs[1].name"),
            ([a, {**b, "shape": [1, 3], "data": [7] * 3}], "inputs[1].shape"),
            ([a, b, {**b, "name": "c"}], "inputs[2].name"),
        ):
            answer = server.client.post("/infer", json={"inputs": inputs})
            assert (answer.status_code, answer.json()["path"]) == (400, path)


def test_several_models_and_a_default(
    tiny: Tiny, tmp_path: Path, log_folder: Path
) -> None:
    folder = tmp_path / "models"
    for name, version in (("one", "1"), ("two", "2026-11")):
        write_model_folder(folder, tiny.classifier, COLUMNS, name=name, version=version)
    (folder / "notes").mkdir()
    body = request([1, 2, 3, 4], COLUMNS)
    with ModelServer(folder, log_folder, MODEL="two") as server:
        assert server.client.get("/v2").json()["models"] == ["one", "two"]
        assert server.client.post("/infer", json=body).json()["model_name"] == "two"
        for name in ("one", "two"):
            answer = server.client.post(f"/v2/models/{name}/infer", json=body)
            assert answer.json()["model_name"] == name
        path = "/v2/models/two/versions/2026-11/infer"
        assert server.client.post(path, json=body).is_success


def refusal(folder: Path) -> list[str]:
    """Load a folder that should be refused; return the problems told."""
    from model_server.manifest import ModelError
    from model_server.model import load_models

    with pytest.raises(ModelError) as caught:
        load_models(folder, 1)
    return caught.value.problems


CHANGES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no name": ({"name": None}, ["name: None"]),
    "a name with a slash": ({"name": "a/b"}, ["name: 'a/b'"]),
    "a version that is a number": ({"version": 1}, ["version: 1", "in quotes"]),
    "all texts wrong": (
        {"name": "", "version": "", "revision": "a b"},
        ["name: ''", "version: ''", "revision: 'a b'"],
    ),
    "inputs missing": ({"inputs": []}, ["inputs: must be a list"]),
    "unknown datatype": (
        {"inputs": [{"name": "X", "datatype": "FLOAT", "shape": [-1, 4]}]},
        ["inputs[0].datatype: 'FLOAT'"],
    ),
    "a fixed batch": (
        {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 4]}]},
        ["inputs[0].shape: [1, 4]"],
    ),
    "other input name": (
        {"inputs": [{"name": "Y", "datatype": "FP32", "shape": [-1, 4]}]},
        ["names the inputs Y, the graph X"],
    ),
    "other datatype": (
        {"inputs": [{"name": "X", "datatype": "FP64", "shape": [-1, 4]}]},
        ["input X: model.yaml says FP64, the graph FP32"],
    ),
    "other columns": (
        {
            "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 4, 2]}],
            "features": [],
            "log": {},
        },
        ["input X: model.yaml says the shape [-1, 4, 2]"],
    ),
    "unknown output": (
        {
            "outputs": [{"name": "score", "datatype": "FP32", "shape": [-1]}],
            "prediction": {},
        },
        ["output score: the graph has label, probabilities"],
    ),
    "other digest": (
        {"digests": {"model.onnx": "sha256:" + "0" * 64}},
        ["its digest is sha256:"],
    ),
    "too few features": ({"features": ["a"]}, ["1 names for an input of 4 columns"]),
    "digest for digests": (
        {"digest": {"model.onnx": "sha256:" + "0" * 64}},
        ["digest: unknown key; did you mean digests?"],
    ),
    "notes of one's own": (
        {"owner": "team-a"},
        ["owner: unknown key; put notes of your own below about"],
    ),
    "unknown keys further down": (
        {
            "inputs": [
                {"name": "X", "datatype": "FP32", "shape": [-1, 4], "missing": True}
            ],
            "prediction": {"scores": "probabilities"},
        },
        [
            "inputs[0].missing: unknown key; did you mean missing_values?",
            "prediction.scores: unknown key; did you mean score?",
        ],
    ),
    "unknown score": ({"prediction": {"score": "p"}}, ["prediction.score: 'p'"]),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES.keys())
def test_folders_that_are_refused(
    models: Path, tmp_path: Path, change: dict[str, Any], words: list[str]
) -> None:
    shutil.copytree(models / "tiny", tmp_path / "tiny")
    file = tmp_path / "tiny/model.yaml"
    content = yaml.safe_load(file.read_text()) | change
    file.write_text(yaml.safe_dump(content))
    problems = refusal(tmp_path)
    assert all(any(word in problem for problem in problems) for word in words)
    assert all(str(tmp_path / "tiny") in problem for problem in problems)


def test_other_folders_that_are_refused(models: Path, tmp_path: Path) -> None:
    assert "holds no folder with a model.yaml" in refusal(tmp_path)[0]
    shutil.copytree(models / "tiny", tmp_path / "tiny")
    shutil.copytree(models / "tiny", tmp_path / "again")
    assert "stands in another folder too" in refusal(tmp_path)[0]
    shutil.rmtree(tmp_path / "again")
    weights = tmp_path / "tiny/model.onnx"
    weights.write_bytes(weights.read_bytes()[:100])
    file = tmp_path / "tiny/model.yaml"
    content = yaml.safe_load(file.read_text())
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    file.write_text(yaml.safe_dump(content | {"digests": {"model.onnx": digest}}))
    assert "onnxruntime refuses it" in refusal(tmp_path)[0]
    weights.unlink()
    assert "No such file" in refusal(tmp_path)[0]
    file.write_text("[1, 2]")
    assert "must be a mapping" in refusal(tmp_path)[0]
    file.write_text("a: [")
    assert "cannot be read as YAML" in refusal(tmp_path)[0]


@pytest.mark.parametrize(
    ("setting", "words"),
    [({"MODEL": "other"}, "has tiny"), ({"MODELS": "/nowhere"}, "/nowhere: holds no")],
)
def test_a_refusal_ends_the_process_with_1(
    models: Path, setting: dict[str, str], words: str
) -> None:
    settings = {"MODELS": str(models), "HOST": "127.0.0.1", "PORT": "0"}
    settings |= {"PREDICTION_LOG": "", **setting}
    run = run_to_the_end(settings)
    assert run.returncode == 1
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    (error,) = [line for line in lines if line["level"] == "error"]
    assert words in error["message"]


@pytest.mark.parametrize(
    ("one", "full", "expected"),
    [(0.1, 0.2, 0), (0.0001, 0.001, 256), (0.0001, 0.0052, 95), (0.002, 0.1, 1)],
)
def test_rows_that_run_in_the_event_loop(
    one: float, full: float, expected: int
) -> None:
    from model_server.run_time import RunTime

    found = RunTime({1: one, 256: full}).rows_within(0.002)
    assert found == pytest.approx(expected, abs=1 if expected == 95 else 0)
