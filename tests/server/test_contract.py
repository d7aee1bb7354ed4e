"""Every endpoint, its headers, and predictions against scikit-learn."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from model_server.manifest import read_manifest
from model_server.outputs import Outputs, Results
from model_server.protocol import Writer

from tests.server.conftest import COLUMNS, Tiny
from tests.support.model_server import SERVER, ModelServer, request
from tests.support.pins import pins

REVISION = re.compile(r"sha256:[0-9a-f]{64}")
INFER_PATHS = ["/infer", "/v2/models/tiny/infer", "/v2/models/tiny/versions/1/infer"]


def test_health(server: ModelServer) -> None:
    for path in ("/healthz", "/v2/health/live"):
        assert server.client.get(path).json() == {"live": True}
    for path in ("/readyz", "/v2/health/ready"):
        assert server.client.get(path).json() == {"ready": True}
    for path in ("/v2/models/tiny/ready", "/v2/models/tiny/versions/1/ready"):
        assert server.client.get(path).json() == {"name": "tiny", "ready": True}


def test_head_is_get_without_the_body(server: ModelServer) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/v2", "/v2/models/tiny"):
        answer = server.client.head(path)
        assert answer.status_code == 200
        assert answer.content == b""
        assert int(answer.headers["content-length"]) > 0


def test_server_metadata(server: ModelServer) -> None:
    answer = server.client.get("/v2").json()
    assert answer["name"] == "slipway-model-server"
    assert answer["models"] == ["tiny"]
    assert answer["extensions"] == ["binary_tensor_data"]


def test_model_metadata_is_that_of_model_yaml(
    server: ModelServer, models: Path
) -> None:
    declared = yaml.safe_load((models / "tiny/model.yaml").read_text())
    for path in ("/v2/models/tiny", "/v2/models/tiny/versions/1"):
        answer = server.client.get(path).json()
        assert answer["versions"] == ["1"]
        assert answer["inputs"] == declared["inputs"]
        assert answer["outputs"] == declared["outputs"]
        assert answer["parameters"]["revision"] == declared["revision"]
        assert answer["parameters"]["features"] == declared["features"]


@pytest.mark.parametrize("path", INFER_PATHS)
def test_inference(server: ModelServer, path: str) -> None:
    answer = server.client.post(path, json=request([1, 2.5, -3, 0], COLUMNS))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-model-version"] == "1"
    assert REVISION.fullmatch(answer.headers["x-model-revision"])
    content = answer.json()
    assert list(content) == ["model_name", "model_version", "id", "outputs"]
    assert content["model_name"] == "tiny"
    assert content["model_version"] == "1"
    assert content["id"] == answer.headers["x-request-id"]
    label, probability = content["outputs"]
    assert (label["name"], label["datatype"], label["shape"]) == ("label", "INT64", [1])
    assert probability["shape"] == [1, 2]
    assert sum(probability["data"]) == pytest.approx(1.0)


def test_predictions_are_those_of_scikit_learn(server: ModelServer, tiny: Tiny) -> None:
    rows = tiny.rows
    expected = tiny.probabilities()
    found = []
    sizes = [1, 2, 63, 64, 65, 200]  # around the batch limit of 64, and across it
    start = 0
    for size in sizes:
        part = rows[start : start + size]
        answer = server.client.post(
            "/infer", json=request(part.ravel().tolist(), COLUMNS)
        ).json()
        label, probability = answer["outputs"]
        assert label["shape"] == [size]
        assert len(label["data"]) == size
        pairs = np.array(probability["data"]).reshape(-1, 2)
        assert (pairs.argmax(axis=1) == label["data"]).all()
        found.append(pairs)
        start += size
    assert np.abs(np.concatenate(found) - expected[:start]).max() < 1e-6


def test_nested_data_is_the_same_as_flat(server: ModelServer, tiny: Tiny) -> None:
    rows = tiny.rows[:3]
    flat = server.client.post("/infer", json=request(rows.ravel().tolist(), COLUMNS))
    nested = server.client.post(
        "/infer", json=request([], COLUMNS, data=rows.tolist(), shape=[3, COLUMNS])
    )
    assert flat.json()["outputs"] == nested.json()["outputs"]


def test_outputs_can_be_chosen_and_ordered(server: ModelServer) -> None:
    body = request([1, 2, 3, 4], COLUMNS)
    both = server.client.post("/infer", json=body).json()["outputs"]
    body["outputs"] = [{"name": "probabilities"}]
    assert server.client.post("/infer", json=body).json()["outputs"] == both[1:]
    body["outputs"] = [{"name": "probabilities"}, {"name": "label"}]
    assert server.client.post("/infer", json=body).json()["outputs"] == both[::-1]
    body["outputs"] = []
    assert server.client.post("/infer", json=body).json()["outputs"] == both


@pytest.mark.parametrize(
    ("header", "body", "expected_header", "expected_id"),
    [
        ("abc-1.2:3/4_=+@", None, "abc-1.2:3/4_=+@", "abc-1.2:3/4_=+@"),
        (None, "from-the-body", "from-the-body", "from-the-body"),
        ("outer", "inner", "outer", "inner"),
        ("x" * 128, None, "x" * 128, "x" * 128),
    ],
)
def test_request_id_is_kept(
    server: ModelServer,
    header: str | None,
    body: str | None,
    expected_header: str,
    expected_id: str,
) -> None:
    content: dict[str, Any] = request([1, 2, 3, 4], COLUMNS)
    if body:
        content["id"] = body
    answer = server.client.post(
        "/infer", json=content, headers={"X-Request-Id": header} if header else {}
    )
    assert answer.headers["x-request-id"] == expected_header
    assert answer.json()["id"] == expected_id


def test_generated_request_ids_differ(server: ModelServer) -> None:
    ids = {
        server.client.post("/infer", json=request([1, 2, 3, 4], COLUMNS)).json()["id"]
        for _ in range(20)
    }
    assert len(ids) == 20


def test_pages_return_a_given_request_id(server: ModelServer) -> None:
    answer = server.client.get("/healthz", headers={"X-Request-Id": "probe-1"})
    assert answer.headers["x-request-id"] == "probe-1"


@pytest.mark.parametrize(
    "media", ["application/json", "application/json; charset=UTF-8", None]
)
def test_content_types_that_are_taken(server: ModelServer, media: str | None) -> None:
    body = b'{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}'
    headers = {"content-type": media} if media else {}
    assert server.client.post("/infer", content=body, headers=headers).is_success


def test_requests_in_a_pipeline_are_answered_in_order(server: ModelServer) -> None:
    body = b'{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}'
    infer = (
        b"POST /infer HTTP/1.1\r\nhost: a\r\nx-request-id: id-%d\r\n"
        b"content-length: %d\r\n\r\n%b"
    )
    raw = b""
    for number in range(0, 30, 3):
        raw += infer % (number, len(body), body)
        raw += b"GET /healthz HTTP/1.1\r\nhost: a\r\nx-request-id: id-%d\r\n\r\n" % (
            number + 1
        )
        raw += infer % (number + 2, 3, b"bad")
    raw += b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    answers = server.exchange(raw)
    order = [int(found) for found in re.findall(rb"x-request-id: id-(\d+)", answers)]
    assert order == list(range(30))
    statuses = [int(found) for found in re.findall(rb"HTTP/1.1 (\d+)", answers)]
    assert statuses == [200, 200, 400] * 10 + [200]


def test_http_1_0_and_chunks_and_expectation(server: ModelServer) -> None:
    body = b'{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}'
    old = server.exchange(
        b"POST /infer HTTP/1.0\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    assert b" 200 OK" in old
    chunked = server.exchange(
        b"POST /infer HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n"
        b"connection: close\r\n\r\n%x\r\n%b\r\n5\r\n%b\r\n0\r\n\r\n"
        % (len(body) - 5, body[:-5], body[-5:])
    )
    assert b" 200 OK" in chunked
    expecting = server.exchange(
        b"POST /infer HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n"
        b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    assert expecting.startswith(b"HTTP/1.1 100 Continue")
    assert b" 200 OK" in expecting


def test_both_ways_to_answer_say_the_same(server: ModelServer) -> None:
    """The short way's headers are a text made before, the other's a list."""
    body = b'{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}'
    length = b"content-length: %d\r\n" % len(body)
    found = [
        server.exchange(
            b"POST /infer HTTP/1.%d\r\nhost: a\r\nx-request-id: a%%b\r\n"
            b"x-request-id: same\r\nconnection: %b\r\n%b\r\n%b" % fields
        )
        for fields in (
            (1, b"close", length, body),
            (0, b"close", length, body),
            (0, b"keep-alive", length, body),
            (1, b"close", b"expect: nothing\r\n" + length, body),
            (
                *(1, b"close", b"transfer-encoding: chunked\r\n"),
                b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
            ),
        )
    ]
    parts = [answer.partition(b"\r\n\r\n") for answer in found]
    heads = [
        sorted(it for it in head.split(b"\r\n") if not it.startswith(b"date: "))
        for head, _, _ in parts
    ]
    assert len(heads[0]) == 7
    assert heads == [heads[0]] * len(heads)
    assert {text for _, _, text in parts} == {parts[0][2]}
    assert all(b"\r\ndate: " in answer for answer in found)


def test_names_may_hold_what_formatting_takes_for_its_own(models: Path) -> None:
    manifest = read_manifest(models / "tiny/model.yaml")
    names = ("50%", "%b%d%%")
    outputs = tuple(
        replace(output, name=name)
        for output, name in zip(manifest.outputs, names, strict=True)
    )
    writer = Writer(replace(manifest, name="%s", outputs=outputs))
    run = Results([np.array([3, 4]), np.array([[0.5, 0.5], [0.25, 0.75]])])
    for wanted in (None, (0, 1)):
        text = writer.write(b"an-id", 1, wanted, Outputs(run, 1, 2))
        answer = json.loads(text)
        assert (answer["model_name"], answer["id"]) == ("%s", "an-id")
        assert [
            (output["name"], output["shape"], output["data"])
            for output in answer["outputs"]
        ] == [("50%", [1], [4]), ("%b%d%%", [1, 2], [0.25, 0.75])]


def test_the_readme_lists_every_variable_as_the_code_has_it() -> None:
    from model_server.config import PREFIX, VARIABLES

    readme = (SERVER / "README.md").read_text()
    rows = [line for line in readme.splitlines() if line.startswith(f"| `{PREFIX}")]
    assert rows == [
        f"| `{PREFIX}{variable.name}` | "
        f"{f'`{variable.default}`' if variable.default != '' else 'empty'} | "
        f"{variable.meaning} |"
        for variable in VARIABLES
    ]


def test_pins_are_those_of_the_project() -> None:
    root = SERVER.parents[1]
    project = pins((root / "constraints.txt").read_text())
    ours = pins((SERVER / "requirements.txt").read_text())
    assert ours
    assert ours == {name: project[name] for name in ours}
