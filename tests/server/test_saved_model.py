"""SavedModels: exported by TensorFlow, described, and served by TensorFlow.

`SLIPWAY_TENSORFLOW=1` installs it (1.2 GB) once into the cache.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.support import tensorflow_venv
from tests.support.tensorflow_venv import TensorFlowServer
from toolchain import paths

pytestmark = [
    pytest.mark.optional,
    pytest.mark.skipif(
        bool(tensorflow_venv.reason_to_skip()), reason=tensorflow_venv.reason_to_skip()
    ),
]
MAKE = paths.ROOT / "tests/support/saved_models_run.py"
SCORES = [[1.0, 2.0, 3.0], [0.0, 0.5, -1.0]]
EXPECTED = [[2.0, 5.5], [0.25, -1.875]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    made = tensorflow_venv.run(MAKE, folder)
    assert made.returncode == 0, made.stderr
    return folder


def described(exported: Path, name: str, target: Path, signature: str = "") -> Path:
    """Copy a SavedModel, with the model.yaml that `model_server.describe` prints."""
    words = ["--signature", signature] if signature else []
    shutil.copytree(exported / name, target)
    made = tensorflow_venv.run(
        "-m", "model_server.describe", target, "--name", target.name, *words
    )
    assert made.returncode == 0, made.stderr
    (target / "model.yaml").write_text(made.stdout)
    return target


@pytest.fixture(scope="module")
def server(
    exported: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TensorFlowServer]:
    folder = tmp_path_factory.mktemp("models")
    described(exported, "scores", folder / "scores")
    described(exported, "scores", folder / "texts", "texts")
    described(exported, "lookup", folder / "lookup")
    described(exported, "half", folder / "half")
    log = tmp_path_factory.mktemp("server") / "log"
    log.mkdir()
    with TensorFlowServer(folder, log, MAX_BATCH_ROWS=8, GRPC_PORT=0) as running:
        yield running


def test_rows_and_columns(server: TensorFlowServer) -> None:
    path = "/v1/models/scores:predict"
    rows = server.client.post(path, json={"instances": SCORES})
    assert rows.status_code == 200, rows.text
    assert rows.json() == {
        "predictions": [
            {"label": 1, "score": EXPECTED[0]},
            {"label": 0, "score": EXPECTED[1]},
        ]
    }
    named = {"signature_name": "serving_default", "inputs": {"x": SCORES}}
    columns = server.client.post(path, json=named)
    assert columns.json() == {"outputs": {"label": [1, 0], "score": EXPECTED}}
    state = server.client.get("/v1/models/scores").json()["model_version_status"]
    assert [it["state"] for it in state] == ["AVAILABLE"]


def test_the_open_inference_protocol(server: TensorFlowServer) -> None:
    """In JSON, and in raw bytes."""
    entry: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [2, 3]}
    path = "/v2/models/scores/infer"
    answer = server.client.post(path, json={"inputs": [{**entry, "data": SCORES}]})
    outputs = {it["name"]: it for it in answer.json()["outputs"]}
    assert outputs["label"]["data"] == [1, 0]
    assert outputs["score"]["shape"] == [2, 2]
    assert outputs["score"]["data"] == [*EXPECTED[0], *EXPECTED[1]]
    values = np.array(SCORES, "<f4").tobytes()
    entry["parameters"] = {"binary_data_size": len(values)}
    head = {"inputs": [entry], "parameters": {"binary_data_output": True}}
    text = json.dumps(head).encode()
    raw = server.client.post(
        path,
        content=text + values,
        headers={
            "content-type": "application/octet-stream",
            "inference-header-content-length": str(len(text)),
        },
    )
    assert raw.status_code == 200, raw.text
    size = int(raw.headers["inference-header-content-length"])
    found = np.frombuffer(raw.content[size + 16 :], "<f4").reshape(2, 2)
    assert found.tolist() == EXPECTED
    metadata = server.client.get("/v2/models/scores").json()
    assert metadata["platform"] == "tensorflow_savedmodel"
    assert metadata["parameters"]["evaluator"] == "tensorflow"


def test_texts_and_free_dimensions(server: TensorFlowServer) -> None:
    rows = [{"word": "straße", "ids": [1, 2]}, {"word": "a", "ids": [3, 4]}]
    path = "/v1/models/texts:predict"
    answer = server.client.post(path, json={"instances": rows})
    assert answer.json() == {
        "predictions": [{"upper": "STRASSE", "size": 3}, {"upper": "A", "size": 7}]
    }, answer.text
    other = {"signature_name": "serving_default", "instances": rows}
    refused = server.client.post(path, json=other)
    assert refused.status_code == 400
    assert "texts is" in refused.json()["error"]


def test_values_that_the_graph_refuses(server: TensorFlowServer) -> None:
    """The client's mistake: 400, and the number is not repeated."""
    path = "/v1/models/lookup:predict"
    answer = server.client.post(path, json={"instances": [2, 7]})
    assert (answer.status_code, set(answer.json())) == (400, {"error"})
    error = answer.json()["error"]
    assert "the model refuses the values" in error
    assert "is not in" in error
    assert "7" not in error
    fine = server.client.post(path, json={"instances": [2]})
    assert fine.json() == {"predictions": [[0.0, 2.0]]}


def test_bf16(server: TensorFlowServer) -> None:
    answer = server.client.post(
        "/v1/models/half:predict", json={"instances": [[3, 0.5]]}
    )
    assert answer.json() == {"predictions": [[1.5, 0.25]]}


def test_what_cannot_be_served_is_refused(exported: Path, tmp_path: Path) -> None:
    """Before the first request, and with what to do."""
    described(exported, "python", tmp_path / "python")
    scores = described(exported, "scores", tmp_path / "scores")
    content = yaml.safe_load((scores / "model.yaml").read_text())
    (source,) = content["inputs"]
    cases: dict[str, dict[str, Any]] = {
        "signature": {"signature": "other"},
        "name": {"inputs": [{**source, "name": "z"}]},
        "type": {"inputs": [{**source, "datatype": "FP64"}]},
        "shape": {"inputs": [{**source, "shape": [-1, 4]}]},
        "weights": {},
    }
    for name, changes in cases.items():
        folder = shutil.copytree(scores, tmp_path / name)
        (folder / "model.yaml").write_text(yaml.safe_dump(content | changes))
    weights = "variables/variables.data-00000-of-00001"
    (tmp_path / "weights" / weights).write_bytes(bytes(8))
    done = tensorflow_venv.run("-m", "model_server.check", tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    for name, part in {
        "python": "uses the operation PyFunc, which calls Python",
        "signature": "has no signature other; it has serving_default, texts",
        "name": "model.yaml names the inputs z, the signature x",
        "type": "input x: model.yaml says FP64, the signature FP32",
        "shape": "model.yaml says the shape [-1, 4], the signature [None, 3]",
        "weights": f"{weights}: its digest is",
    }.items():
        (line,) = [
            it
            for it in done.stdout.splitlines()
            if it.startswith(f"{tmp_path / name}:")
        ]
        assert part in line
    assert "scores 1: each row is answered by itself" in done.stdout


def test_a_signature_of_one_row_is_not_described(exported: Path) -> None:
    folder = exported / "one_row"
    done = tensorflow_venv.run("-m", "model_server.describe", folder, "--name", "one")
    assert done.returncode == 1
    assert "any number of rows first; export the signature so" in done.stderr
