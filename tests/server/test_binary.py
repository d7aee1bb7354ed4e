"""Tensors as raw bytes over HTTP, by NVIDIA's client and by hand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from tests.server.conftest import COLUMNS, Tiny
from tests.server.test_models import write_identity
from tests.support.model_server import ModelServer, request
from tests.support.triton_client import Triton, TritonError

HEADER = "inference-header-content-length"


@pytest.fixture(scope="module")
def triton(server: ModelServer) -> Iterator[Triton]:
    with Triton("http", f"127.0.0.1:{server.port}") as client:
        yield client


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"model_version": "1"},
        {"request_compression_algorithm": "gzip"},
        {"request_compression_algorithm": "deflate"},
        {"response_compression_algorithm": "gzip"},
        {"response_compression_algorithm": "deflate"},
    ],
    ids=str,
)
def test_the_client_gets_what_scikit_learn_says(
    triton: Triton, tiny: Tiny, options: dict[str, str]
) -> None:
    rows = tiny.rows[:200]
    tensor = {"name": "X", "datatype": "FP32", "dtype": "<f4", "data": rows.tolist()}
    found = triton.ask(
        "infer", model="tiny", inputs=[tensor], outputs=None, request_id="a", **options
    )
    assert (found["id"], found["model_version"]) == ("a", "1")
    assert found["outputs"]["probabilities"]["dtype"] == "<f4"
    values = np.array(found["outputs"]["probabilities"]["data"])
    assert np.abs(values - tiny.probabilities()[:200]).max() < 1e-6
    assert found["outputs"]["label"]["dtype"] == "<i8"
    assert found["outputs"]["label"]["data"] == values.argmax(axis=1).tolist()


def test_the_client_gets_the_outputs_it_names_and_errors(triton: Triton) -> None:
    tensor = {"name": "X", "datatype": "FP32", "dtype": "<f4", "data": [[1, 2, 3, 4]]}
    found = triton.ask("infer", model="tiny", inputs=[tensor], outputs=["label"])
    assert list(found["outputs"]) == ["label"]
    wrong = {**tensor, "datatype": "FP64", "dtype": "<f8"}
    with pytest.raises(TritonError, match=r"inputs\[0\]\.datatype") as caught:
        triton.ask("infer", model="tiny", inputs=[wrong], outputs=None)
    assert caught.value.status == "400"
    with pytest.raises(TritonError, match="there is tiny"):
        triton.ask("infer", model="other", inputs=[tensor], outputs=None)
    assert triton.ask("get_server_metadata")["extensions"] == ["binary_tensor_data"]
    assert triton.ask("is_model_ready", model_name="tiny") is True


def post(
    server: ModelServer,
    document: Any,
    data: bytes,
    headers: dict[str, str] | None = None,
    path: str = "/infer",
) -> httpx.Response:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    fields = {HEADER: str(len(text)), "content-type": "application/octet-stream"}
    return server.client.post(
        path, content=text + data, headers=fields | (headers or {})
    )


def raw(size: int, rows: int = 2, **changes: Any) -> dict[str, Any]:
    tensor = {
        "name": "X",
        "datatype": "FP32",
        "shape": [rows, COLUMNS],
        "parameters": {"binary_data_size": size},
    }
    return {"inputs": [{**tensor, **changes}]}


def test_raw_and_json_can_be_mixed(server: ModelServer, tiny: Tiny) -> None:
    rows = tiny.rows[:2]
    body = raw(32)
    body["outputs"] = [
        {"name": "probabilities", "parameters": {"binary_data": True}},
        {"name": "label"},
    ]
    answer = post(server, body, rows.tobytes())
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers[HEADER])
    head = json.loads(answer.content[:length])
    first, second = head["outputs"]
    assert first["parameters"] == {"binary_data_size": 16}
    assert "data" not in first
    values = np.frombuffer(answer.content[length:], "<f4").reshape(2, 2)
    assert second["data"] == values.argmax(axis=1).tolist()
    in_json = server.client.post(
        "/infer", json=request(rows.ravel().tolist(), COLUMNS)
    ).json()
    expected = np.array(in_json["outputs"][1]["data"], np.float32)
    assert (expected == values.ravel()).all()


def test_raw_in_and_json_out(server: ModelServer, tiny: Tiny) -> None:
    answer = post(server, raw(32), tiny.rows[:2].tobytes())
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["outputs"][0]["shape"] == [2]


def test_json_in_and_raw_out(server: ModelServer) -> None:
    body = request([1, 2, 3, 4], COLUMNS)
    body["parameters"] = {"binary_data_output": True}
    answer = server.client.post("/infer", json=body)
    head = json.loads(answer.content[: int(answer.headers[HEADER])])
    sizes = [it["parameters"]["binary_data_size"] for it in head["outputs"]]
    assert sizes == [8, 8]


ROWS = np.ones((2, COLUMNS), "<f4")
NOT_FINITE = np.array([[1, 2, 3, np.nan], [1, 2, 3, np.inf]], "<f4")
WRONG = {
    "too few bytes": (raw(31), ROWS.tobytes()[:31], "inputs[0].data"),
    "more than come": (raw(33), ROWS.tobytes(), "binary_data_size"),
    "bytes of no tensor": (raw(32), ROWS.tobytes() + b"x", "inputs"),
    "more rows than bytes": (raw(32, rows=3), ROWS.tobytes(), "inputs[0].data"),
    "a size that is text": (raw("32"), ROWS.tobytes(), "binary_data_size"),  # type: ignore[arg-type]
    "a negative size": (raw(-1), ROWS.tobytes(), "binary_data_size"),
    "a size that is true": (raw(True), ROWS.tobytes(), "binary_data_size"),
    "a huge size": (raw(2**70), ROWS.tobytes(), "binary_data_size"),
    "data too": (raw(32, data=[1] * 8), ROWS.tobytes(), "inputs[0].data"),
    "not finite": (raw(32), NOT_FINITE.tobytes(), "inputs[0].data"),
    "another name": (raw(32, name="Y"), ROWS.tobytes(), "inputs[0].name"),
    "negative rows": (raw(32, rows=-2), ROWS.tobytes(), "inputs[0].shape"),
}


@pytest.mark.parametrize(("body", "data", "path"), WRONG.values(), ids=WRONG.keys())
def test_wrong_raw_tensors(
    server: ModelServer, body: Any, data: bytes, path: str
) -> None:
    answer = post(server, body, data)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["path"].endswith(path)


@pytest.mark.parametrize("length", ["x", "-1", "1e3", "9999999999", "5000", ""])
def test_wrong_lengths_of_the_json(server: ModelServer, length: str) -> None:
    answer = post(server, raw(32), ROWS.tobytes(), {HEADER: length})
    assert (answer.status_code, answer.json()["path"]) == (400, HEADER)


def test_the_bytes_need_their_header(server: ModelServer) -> None:
    answer = server.client.post("/infer", json=raw(32))
    assert answer.status_code == 400
    assert "Inference-Header-Content-Length" in answer.json()["error"]
    answer = post(server, b"", ROWS.tobytes())
    assert answer.json()["code"] == "invalid_json"


def test_a_compressed_body_is_measured_inflated(server: ModelServer) -> None:
    text = json.dumps(raw(32)).encode()
    answer = server.client.post(
        "/infer",
        content=gzip.compress(text + ROWS.tobytes()),
        headers={HEADER: str(len(text)), "content-encoding": "gzip"},
    )
    assert answer.status_code == 200, answer.text


def test_several_inputs_take_their_bytes_in_order(
    tmp_path: Any, log_folder: Any
) -> None:
    folder = tmp_path / "models"
    log = {"keep": ["b[2]", "a[0]", "a[1]", "a[2]"]}
    write_identity(folder / "two", {"a": "BOOL", "b": "INT64"}, log)
    b = np.arange(6, dtype="<i8").reshape(2, 3) - 3
    tensors = {
        name: {"name": name, "datatype": kind, "shape": [2, 3]}
        for name, kind in (("a", "BOOL"), ("b", "INT64"))
    }
    tensors["b"]["parameters"] = {"binary_data_size": 48}
    as_json = {**tensors["a"], "data": [True, False] * 3}
    as_raw = {**tensors["a"], "parameters": {"binary_data_size": 6}}
    with ModelServer(folder, log_folder) as server:
        for inputs, data in (
            ([as_raw, tensors["b"]], b"\1\0\1\0\1\0" + b.tobytes()),
            ([tensors["b"], as_raw], b.tobytes() + b"\1\0\1\0\1\0"),
            ([as_json, tensors["b"]], b.tobytes()),
        ):
            body = {"inputs": inputs, "parameters": {"binary_data_output": True}}
            answer = post(server, body, data)
            assert answer.status_code == 200, answer.text
            tail = answer.content[int(answer.headers[HEADER]) :]
            assert tail == b"\1\0\1\0\1\0" + b.tobytes()
        wrong = post(server, {"inputs": [as_raw, tensors["b"]]}, bytes([2] * 54))
        assert "neither 0 nor 1" in wrong.json()["error"]
        server.stop()
    records = [
        json.loads(line)
        for file in log_folder.iterdir()
        for line in file.read_text().splitlines()
    ]
    a = {"a[0]": False, "a[1]": True, "a[2]": False}
    assert records[1]["features"] == {**a, "b[2]": 2}
    assert records[1]["outputs"]["b_out"] == [0, 1, 2]


def test_texts_are_packed_with_their_lengths() -> None:
    from model_server.binary import packed

    texts = np.array([["ab", ""], ["\u00e9", "x" * 300]], object)
    assert packed(texts) == (
        b"\2\0\0\0ab\0\0\0\0\2\0\0\0\xc3\xa9\x2c\1\0\0" + b"x" * 300
    )
