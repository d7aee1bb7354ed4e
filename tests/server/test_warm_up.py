"""Models that refuse what they are warmed up with, and shapes that a run shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from benchmarks.model_folder import write_model_folder
from tests.server.conftest import COLUMNS, Tiny
from tests.server.test_independence import prepared, refusal
from tests.support import grpc_calls
from tests.support.graphs import Declared, write_graph
from tests.support.model_server import ModelServer, request, run_to_the_end
from tests.support.prometheus_text import labelled

TABLE = np.arange(12, dtype=np.float32).reshape(4, 3)
FIRST = 9
"""The lookup takes ids from 9 to 12; of 0 to 4 it takes none."""


def write_lookup(folder: Path, **settings: Any) -> Path:
    return write_graph(
        folder,
        [
            helper.make_node("Sub", ["ids", "first"], ["index"]),
            helper.make_node("Gather", ["table", "index"], ["y"]),
        ],
        [("ids", "INT64", [])],
        [("y", "FP32", [3])],
        {"table": TABLE, "first": np.array(FIRST)},
        **settings,
    )


def test_a_refused_warm_up_names_model_and_input(tmp_path: Path) -> None:
    (problem,) = refusal(write_lookup(tmp_path / "lookup"))
    assert problem == (
        "lookup: version 1: input ids: the model refuses zeros to warm up with (rows: "
        "1; indices element out of data bounds, idx=-9 must be within the inclusive "
        "range [-4,3]); give rows that it takes under warm_up in model.yaml"
    )
    folder = write_lookup(tmp_path / "other", warm_up={"ids": [9, 12, 13]})
    (problem,) = refusal(folder)
    assert "refuses warm_up to warm up with (rows: 4; indices" in problem
    found = prepared(write_lookup(tmp_path / "third", warm_up={"ids": [9, 12]}))
    assert not found.runs_apart


def test_rows_of_the_examples_warm_up_where_none_are_given(tmp_path: Path) -> None:
    folder = write_lookup(tmp_path / "lookup")
    content = {"inputs": {"ids": [9, 12]}, "outputs": {"y": TABLE[[0, 3]].tolist()}}
    (folder / "examples.json").write_text(json.dumps(content))
    assert prepared(folder).examples == 2


@pytest.mark.parametrize(
    ("warm_up", "words"),
    [
        ([1, 2], "warm_up: must be a mapping with a list of rows for each of ids"),
        ({"id": [9]}, "warm_up: has rows of id, the model takes ids"),
        ({"ids": []}, "warm_up.ids: must be a list of at least one row"),
        ({"ids": 9}, "warm_up.ids: must be a list of at least one row"),
        ({"ids": [9, 1.5]}, "warm_up: row 1: inputs[0].data: value 0 (row by row) is"),
        ({"ids": [9, [10]]}, "warm_up: row 1: inputs[0].data: value 0 (row by row) is"),
    ],
)
def test_rows_to_warm_up_with_that_are_wrong(
    tmp_path: Path, warm_up: Any, words: str
) -> None:
    (problem,) = refusal(write_lookup(tmp_path / "lookup", warm_up=warm_up))
    assert problem.startswith(f"{tmp_path / 'lookup/model.yaml'}: ")
    assert words in problem


def test_one_model_refused_takes_no_other_down(
    tiny: Tiny, tmp_path: Path, log_folder: Path
) -> None:
    """The others answer; of the refused one every path and interface says why."""
    models = tmp_path / "models"
    write_lookup(models / "lookup")
    write_model_folder(models, tiny.classifier, COLUMNS)
    port = grpc_calls.free_port()
    with (
        ModelServer(models, log_folder, GRPC_PORT=port) as server,
        grpc_calls.channel(port) as channel,
    ):
        client = server.client
        assert client.get("/readyz").status_code == 200
        body = request([1, 2, 3, 4], COLUMNS)
        assert client.post("/v2/models/tiny/infer", json=body).status_code == 200
        for method, path in (
            ("POST", "/v2/models/lookup/infer"),
            ("POST", "/v2/models/lookup/versions/1/infer"),
            ("GET", "/v2/models/lookup"),
            ("GET", "/v2/models/lookup/ready"),
        ):
            answer = client.request(method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert "input ids: the model refuses zeros" in answer.json()["error"]
        # Which model `/infer` means is not left to who is refused.
        assert client.post("/infer", json=body).status_code == 404
        with pytest.raises(Exception, match="input ids: the model refuses zeros"):
            channel.unary_unary(grpc_calls.METHOD)(
                grpc_calls.request([[1.0]], model="lookup", name="ids")
            )
        page = client.get("/metrics").text
        ready = {it["model"]: value for it, value in labelled(page, "model_ready")}
        assert ready == {"tiny": 1, "lookup": 0}
        errors = [line for line in server.logs() if line["level"] == "error"]
        assert [line["model"] for line in errors] == ["lookup"]


def test_a_version_refused_hands_its_requests_to_no_other(
    tiny: Tiny, tmp_path: Path, log_folder: Path
) -> None:
    models = tmp_path / "models"
    write_lookup(models / "a1", name="a", warm_up={"ids": [9, 10]})
    write_lookup(models / "a2", name="a", version="2")
    write_lookup(models / "b1", name="b")
    write_lookup(models / "b2", name="b", version="2", warm_up={"ids": [9, 10]})
    with ModelServer(models, log_folder) as server:
        tensor = {"name": "ids", "datatype": "INT64", "shape": [1], "data": [9]}
        found = {
            path: server.client.post(
                f"/v2/models/{path}/infer", json={"inputs": [tensor]}
            ).status_code
            for path in ("a", "a/versions/1", "b", "b/versions/1", "b/versions/2")
        }
    assert found == {
        "a": 503,
        "a/versions/1": 503,
        "b": 200,
        "b/versions/1": 404,
        "b/versions/2": 200,
    }


@pytest.mark.parametrize("settings", [{}, {"MODEL": "lookup"}])
def test_nothing_left_to_serve_ends_the_process(
    tiny: Tiny, tmp_path: Path, settings: dict[str, str]
) -> None:
    """So does the refusal of the model that MODEL_SERVER_MODEL names."""
    write_lookup(tmp_path / "lookup")
    if settings:
        write_model_folder(tmp_path, tiny.classifier, COLUMNS)
    values = {"MODELS": str(tmp_path), "HOST": "127.0.0.1", "PORT": "0"}
    values |= {"PREDICTION_LOG": "", **settings}
    run = run_to_the_end(values)
    assert run.returncode == 1
    assert "input ids: the model refuses zeros" in run.stdout


def test_an_output_declared_as_one_row_is_judged_by_the_warm_up(
    tmp_path: Path,
) -> None:
    """As onnxmltools 1.16 declares the label of LightGBM's classifiers."""
    x: Declared = ("x", "FP32", [4])
    y: Declared = ("y", "INT64", [])
    nodes = [helper.make_node("ArgMax", ["x"], ["y"], axis=1, keepdims=0)]
    right = write_graph(tmp_path / "right", nodes, [x], [y], batch=1)
    assert not prepared(right).runs_apart
    nodes = [
        helper.make_node("ArgMax", ["x"], ["row"], axis=1, keepdims=0),
        helper.make_node("Gather", ["row", "first"], ["y"], axis=0),
    ]
    wrong = write_graph(
        tmp_path / "wrong", nodes, [x], [y], {"first": np.array([0])}, batch=1
    )
    (problem,) = refusal(wrong)
    assert "y: a run of 2 rows gave the shape [1], model.yaml says [-1]" in problem
    nodes = [helper.make_node("ArgMax", ["x"], ["y"], axis=1, keepdims=0)]
    three = write_graph(tmp_path / "three", nodes, [x], [y], batch=3)
    (problem,) = refusal(three)
    assert "output y: model.yaml says the shape [-1], the graph [3]" in problem
