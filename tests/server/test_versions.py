"""Several versions of a model: which one answers, and what an unknown one is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from tests.support.model_server import ModelServer
from tests.support.prometheus_text import labelled

BODY = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}


def write_adder(folder: Path, number: float, version: str, **changes: Any) -> None:
    """Write a model `adder` that adds a number; its revision is `r<number>`."""
    folder.mkdir(parents=True)
    graph = helper.make_graph(
        [helper.make_node("Add", ["X", "number"], ["sum"])],
        "adder",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.array([number], np.float32), "number")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    content = {
        "name": "adder",
        "version": version,
        "revision": f"r{number:g}",
        "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 1]}],
        "outputs": [{"name": "sum", "datatype": "FP32", "shape": [-1, 1]}],
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(content | changes))


@pytest.fixture(scope="module")
def adders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1.9 (adds 9), 1.10 (adds 10) and 2-rc.1 (adds 2) of one model."""
    folder = tmp_path_factory.mktemp("adders")
    write_adder(folder / "adder", 9, "1.9")
    write_adder(folder / "adder@1.10", 10, "1.10")
    write_adder(folder / "adder@next", 2, "2-rc.1")
    return folder


@pytest.fixture(scope="module")
def served(
    adders: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelServer]:
    log = tmp_path_factory.mktemp("log") / "log"
    log.mkdir()
    with ModelServer(adders, log, DEFAULT_VERSION="1.10", GRPC_PORT=0) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "revision", "expected"),
    [
        ("/infer", None, 11),
        ("/infer", "r9", 10),
        ("/v2/models/adder/infer", "r2", 3),
        ("/v2/models/adder/infer", "r10", 11),
        ("/v2/models/adder/versions/1.9/infer", None, 10),
        ("/v2/models/adder/versions/1.9/infer", "r9", 10),
        ("/v2/models/adder/versions/2-rc.1/infer", None, 3),
    ],
)
def test_path_and_header_pick_the_version(
    served: ModelServer, path: str, revision: str | None, expected: int
) -> None:
    headers = {"x-model-revision": revision} if revision else {}
    answer = served.client.post(path, json=BODY, headers=headers)
    assert answer.json()["outputs"][0]["data"] == [expected]
    assert answer.headers["x-model-revision"] == f"r{expected - 1}"
    model = path.removesuffix("/infer")
    if model:
        page = served.client.get(model, headers=headers).json()
        assert page["parameters"]["revision"] == f"r{expected - 1}"
        assert page["versions"] == ["1.9", "1.10", "2-rc.1"]


@pytest.mark.parametrize(
    ("path", "revision", "code", "known"),
    [
        ("/infer", "r3", "unknown_revision", "there is r9, r10, r2"),
        ("/infer", "", "unknown_revision", "there is r9, r10, r2"),
        ("/infer", "1.9", "unknown_revision", "r10"),
        ("/v2/models/adder/versions/1.9/infer", "r10", "unknown_revision", "is r9"),
        (
            "/v2/models/adder/versions/3/infer",
            None,
            "unknown_version",
            "there is 1.9, 1.10, 2-rc.1",
        ),
        ("/v2/models/odder/infer", None, "unknown_model", "there is adder"),
    ],
)
def test_what_is_unknown_is_given_the_known(
    served: ModelServer, path: str, revision: str | None, code: str, known: str
) -> None:
    headers = {} if revision is None else {"x-model-revision": revision}
    answer = served.client.post(path, json=BODY, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, code)
    assert known in answer.json()["error"]
    page = served.client.get(path.removesuffix("/infer") or "/v2", headers=headers)
    assert page.status_code == (200 if path == "/infer" else 404)


def test_each_version_has_its_own_counts_and_records(
    adders: Path, log_folder: Path
) -> None:
    with ModelServer(adders, log_folder, DEFAULT_VERSION="1.10") as server:
        for revision in ("r9", "r9", "r2"):
            headers = {"x-model-revision": revision}
            server.client.post("/infer", json=BODY, headers=headers)
        text = server.client.get("/metrics").text
        counts = {
            labels["revision"]: value
            for labels, value in labelled(text, "model_requests_total")
        }
        assert counts == {"r9": 2, "r10": 0, "r2": 1}
        server.stop()
    lines = [
        json.loads(line)
        for file in log_folder.iterdir()
        for line in file.read_text().splitlines()
    ]
    assert [(it["version"], it["outputs"]["sum"]) for it in lines] == [
        ("1.9", 10),
        ("1.9", 10),
        ("2-rc.1", 3),
    ]


def test_the_newest_is_the_default(adders: Path, log_folder: Path) -> None:
    with ModelServer(adders, log_folder, REVISION="ours") as server:
        answer = server.client.post("/infer", json=BODY)
        assert answer.json()["model_version"] == "2-rc.1"
        assert answer.headers["x-model-revision"] == "ours"
        answer = server.client.post(
            "/infer", json=BODY, headers={"x-model-revision": "r9"}
        )
        assert answer.json()["model_version"] == "1.9"


def test_documents_have_what_their_path_means(served: ModelServer) -> None:
    model = "/v2/models/adder"
    whole = served.client.get(f"{model}/openapi.json").json()
    header = whole["paths"][f"{model}/infer"]["post"]["parameters"][2]
    assert header["schema"]["enum"] == ["r9", "r10", "r2"]
    assert len(whole["components"]["schemas"]) == 1 + 3 * 2
    one = served.client.get(f"{model}/versions/1.9/openapi.json").json()
    assert [path for path in one["paths"] if path.endswith("infer")] == [
        f"{model}/versions/1.9/infer"
    ]
    assert one["info"]["version"] == "1.9"


def test_order_of_versions() -> None:
    from model_server.models import version_key

    ordered = ["blue", "0.9", "1-alpha", "1-alpha.2", "1-alpha.10", "1-rc", "1"]
    ordered += ["1.0.1", "v1.2", "1.10", "2026-11"]
    # A date of two parts is a version with a pre-release, and still the largest.
    assert sorted(set(ordered), key=version_key) == ordered


def folders_refused(folder: Path) -> str:
    from model_server.manifest import ModelError
    from model_server.model import load_models

    with pytest.raises(ModelError) as caught:
        load_models(folder, 1)
    return str(caught.value)


def test_folders_that_contradict_each_other(tmp_path: Path) -> None:
    write_adder(tmp_path / "a", 1, "1")
    write_adder(tmp_path / "b", 2, "1")
    assert "b: the version 1 of adder stands in another" in folders_refused(tmp_path)
    write_adder(tmp_path / "c", 1, "2")
    assert "c: the revision r1 of adder stands in another" in folders_refused(tmp_path)


def test_a_default_that_no_model_has() -> None:
    from model_server.manifest import Manifest, ModelError
    from model_server.models import newest

    manifest = Manifest("adder", "1", "r", (), (), (), "", "", {})
    assert newest([manifest], "")["adder"] is manifest
    with pytest.raises(ModelError, match=r"DEFAULT_VERSION='2'.*try adder 1"):
        newest([manifest], "2")
