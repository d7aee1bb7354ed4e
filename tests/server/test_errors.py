"""Each kind of wrong request: its status, its code, and where the fault lies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.conftest import COLUMNS
from tests.support.model_server import ModelServer, request

ROW = [1.0, 2.0, 3.0, 4.0]


def tensor(**changes: Any) -> dict[str, Any]:
    return request(ROW, COLUMNS, **changes)


def without(key: str) -> dict[str, Any]:
    body = tensor()
    del body["inputs"][0][key]
    return body


WRONG = {
    "no inputs": ({}, "inputs", "list of tensors"),
    "inputs not a list": ({"inputs": {}}, "inputs", "list of tensors"),
    "an array": ([1], "$", "must be an object"),
    "a number": (3, "$", "must be an object, not 3"),
    "unknown key": ({**tensor(), "output": []}, "$", 'unknown key "output"'),
    "unknown key of tensor": (tensor(dtype="FP32"), "inputs[0]", '"dtype"'),
    "no tensors": ({"inputs": []}, "inputs", "needs X too"),
    "two tensors": (
        {"inputs": tensor()["inputs"] * 2},
        "inputs[1].name",
        '"X" is given twice',
    ),
    "foreign second tensor": (
        {"inputs": [*tensor()["inputs"], {"name": "Y"}]},
        "inputs[1].name",
        "not one of the model's inputs X",
    ),
    "tensor not an object": ({"inputs": [7]}, "inputs[0]", "not 7"),
    "wrong name": (tensor(name="Y"), "inputs[0].name", '"Y" is not'),
    "no name": (without("name"), "inputs[0].name", "null is not"),
    "wrong datatype": (tensor(datatype="FP64"), "inputs[0].datatype", '"FP64"'),
    "integer datatype": (tensor(datatype="INT64"), "inputs[0].datatype", "FP32"),
    "no datatype": (without("datatype"), "inputs[0].datatype", "null"),
    "no shape": (without("shape"), "inputs[0].shape", "null"),
    "shape of a string": (tensor(shape="1,4"), "inputs[0].shape", '"1,4"'),
    "shape too short": (tensor(shape=[4]), "inputs[0].shape", "[4]"),
    "shape too long": (tensor(shape=[1, 4, 1]), "inputs[0].shape", "[1,4,1]"),
    "shape empty": (tensor(shape=[]), "inputs[0].shape", "[]"),
    "shape of floats": (tensor(shape=[1.0, 4]), "inputs[0].shape", "[1.0,4]"),
    "shape of booleans": (tensor(shape=[True, 4]), "inputs[0].shape", "[true,4]"),
    "no rows": (tensor(shape=[0, 4], data=[]), "inputs[0].shape", "[0,4]"),
    "negative rows": (tensor(shape=[-1, 4]), "inputs[0].shape", "[-1,4]"),
    "other columns": (tensor(shape=[1, 3]), "inputs[0].shape", "[1,3]"),
    "rows beyond integers": (tensor(shape=[2**64, 4]), "inputs[0].shape", "1.84"),
    "no data": (without("data"), "inputs[0].data", "must be a list"),
    "data of a string": (tensor(data="1234"), "inputs[0].data", "must be a list"),
    "too few values": (tensor(data=[1, 2, 3]), "inputs[0].data", "3 values"),
    "too many values": (tensor(data=[*ROW, 5]), "inputs[0].data", "5 values"),
    "a string": (
        tensor(data=[1, 2, "3", 4]),
        "inputs[0].data",
        "value 2 (row by row) is a text, which FP32 cannot hold",
    ),
    "a null": (tensor(data=[1, 2, 3, None]), "inputs[0].data", "value 3"),
    "a boolean": (tensor(data=[1, True, 3, 4]), "inputs[0].data", "value 1"),
    "too large a number": (
        tensor(data=[1, 2, 3, 1e39]),
        "inputs[0].data",
        "value 3 (row by row) is a number beyond the range of FP32",
    ),
    "too large an integer": (
        tensor(data=[10**60, 2, 3, 4]),
        "inputs[0].data",
        "value 0 (row by row) is a number beyond the range of FP32",
    ),
    "an object": (tensor(data=[1, 2, 3, {}]), "inputs[0].data", "an object"),
    "mixed nesting": (tensor(data=[1, [2], 3, 4]), "inputs[0].data", "value 1"),
    "mixed nesting, list first": (
        tensor(data=[[1, 2, 3, 4], 5], shape=[2, 4]),
        "inputs[0].data",
        "not nested",
    ),
    "nested too deep": (tensor(data=[[[1, 2, 3, 4]]]), "inputs[0].data", "depth 2"),
    "nested unevenly": (
        tensor(data=[[1, 2, 3], [4, 5, 6, 7, 8]], shape=[2, 4]),
        "inputs[0].data",
        "depth 2",
    ),
    "deeply nested value": (tensor(data=[1, [[2]], 3, 4]), "inputs[0].data", "value 1"),
    "id not a string": ({**tensor(), "id": 7}, "id", "7 must be"),
    "id too long": ({**tensor(), "id": "x" * 129}, "id", "1 to 128"),
    "id with a line break": ({**tensor(), "id": "a\nb"}, "id", "1 to 128"),
    "parameters not an object": ({**tensor(), "parameters": 1}, "parameters", "object"),
    "tensor parameters": (tensor(parameters=[]), "inputs[0].parameters", "object"),
    "outputs not a list": ({**tensor(), "outputs": "label"}, "outputs", "list"),
    "output not an object": ({**tensor(), "outputs": ["label"]}, "outputs[0]", "name"),
    "unknown output": (
        {**tensor(), "outputs": [{"name": "score"}]},
        "outputs[0].name",
        "label, probabilities",
    ),
    "output twice": (
        {**tensor(), "outputs": [{"name": "label"}] * 2},
        "outputs[1].name",
        "twice",
    ),
    "output with binary data": (
        {**tensor(), "outputs": [{"name": "label", "binary": True}]},
        "outputs[0]",
        '"binary"',
    ),
}


@pytest.mark.parametrize(("body", "path", "words"), WRONG.values(), ids=WRONG.keys())
def test_wrong_requests(server: ModelServer, body: Any, path: str, words: str) -> None:
    answer = server.client.post("/infer", content=json.dumps(body), headers=JSON)
    assert answer.status_code == 400
    content = answer.json()
    assert content["code"] == "invalid_request"
    assert content["path"] == path
    assert content["error"].startswith(f"{path}: ")
    assert words in content["error"]
    assert content["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["x-model-version"] == "1"


JSON = {"content-type": "application/json"}
NOT_JSON = {
    "empty": b"",
    "cut": b'{"inputs":[',
    "not a number": b'{"inputs":[{"data":[NaN]}]}',
    "infinity": b'{"inputs":[{"data":[Infinity]}]}',
    "a number beyond doubles": b'{"inputs":[{"data":[1e400]}]}',
    "not UTF-8": b'{"id":"\xff"}',
    "lone surrogate": b'{"id":"\\ud800"}',
    "two documents": b"{}{}",
    "trailing comma": b'{"inputs":[],}',
    "deep": b"[" * 5000,
    "zero bytes": b"\0\0\0",
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_json(server: ModelServer, body: bytes) -> None:
    answer = server.client.post("/infer", content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_json"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v2/models/other/infer", 404, "unknown_model"),
        ("GET", "/v2/models/other", 404, "unknown_model"),
        ("GET", "/v2/models/", 404, "unknown_model"),
        ("POST", "/v2/models/tiny/versions/2/infer", 404, "unknown_version"),
        ("GET", "/v2/models/tiny/versions/2/ready", 404, "unknown_version"),
        ("GET", "/", 404, "not_found"),
        ("POST", "/v2/models/tiny/predict", 404, "not_found"),
        ("GET", "/healthz/", 404, "not_found"),
        ("GET", "/..%2f..%2fetc/passwd", 404, "not_found"),
        ("GET", "/" + "a" * 5000, 404, "not_found"),
        ("GET", "/infer", 405, "method_not_allowed"),
        ("PUT", "/v2/models/tiny/infer", 405, "method_not_allowed"),
        ("DELETE", "/v2/models/tiny/versions/1/infer", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("POST", "/metrics", 405, "method_not_allowed"),
        ("POST", "/v2/models/tiny", 405, "method_not_allowed"),
        ("OPTIONS", "/infer", 405, "method_not_allowed"),
    ],
)
def test_paths_and_methods(
    server: ModelServer, method: str, path: str, status: int, code: str
) -> None:
    answer = server.client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert len(answer.content) < 600
    if status == 405:
        is_inference = path.endswith("infer")
        assert answer.headers["allow"] == ("POST" if is_inference else "GET, HEAD")


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {**JSON, "content-encoding": "br"},
        {**JSON, "content-encoding": "gzip, gzip"},
        {"content-type": "application/octet-stream"},
    ],
)
def test_media_types(server: ModelServer, headers: dict[str, str]) -> None:
    answer = server.client.post("/infer", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (
        415,
        "unsupported_media_type",
    )


@pytest.mark.parametrize("value", ["a b", "x" * 129, "a\tb", "é", 'a"b', "a;b"])
def test_request_ids_that_are_refused(server: ModelServer, value: str) -> None:
    for path, method in (("/infer", "POST"), ("/healthz", "GET")):
        answer = server.client.request(
            method,
            path,
            json=tensor() if method == "POST" else None,
            headers=[(b"x-request-id", value.encode("latin-1"))],
        )
        assert answer.status_code == 400
        assert answer.json()["code"] == "invalid_request_id"
        assert answer.headers["x-request-id"] != value


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"POST /infer HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        b"POST /infer HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /infer HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /infer HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nbad header: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/0.9\r\n\r\n",
        b"GET /healthz HTTP/2.0\r\nhost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\nhost: a\r\nHost: b\r\n\r\n",
        b"POST /infer HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /infer HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /infer HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
        b"POST /infer HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        (
            b"POST /infer HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n"
            b"transfer-encoding: gzip\r\n\r\n0\r\n\r\n"
        ),
    ],
)
def test_what_is_not_http(server: ModelServer, raw: bytes) -> None:
    answer = server.exchange(raw)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"bad_request"' in answer
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    "coding", ["gzip, chunked", "GZip ,Chunked", "gzip\r\ntransfer-encoding: chunked"]
)
def test_transfer_codings_that_are_not_done(server: ModelServer, coding: str) -> None:
    head = f"POST /infer HTTP/1.1\r\nhost: a\r\ntransfer-encoding: {coding}\r\n\r\n"
    answer = server.exchange(head.encode() + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 501 ")
    assert b'"code":"not_implemented"' in answer
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /healthz HTTP/1.0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n",
        (
            b"GET /healthz HTTP/1.1\r\nhost: a\r\nx-a: 1\r\nx-a: 1\r\n"
            b"connection: close\r\n\r\n"
        ),
    ],
)
def test_heads_that_are_right(server: ModelServer, raw: bytes) -> None:
    assert server.exchange(raw).startswith(b"HTTP/1.1 200 ")


def test_errors_are_the_same_on_the_long_way(server: ModelServer) -> None:
    """A body above 64 KiB or in chunks goes through the ASGI application."""

    def parts(body: bytes) -> Any:
        yield body

    answer = server.client.post("/infer", content=parts(b"[1]"), headers=JSON)
    assert (answer.status_code, answer.json()["path"]) == (400, "$")
    answer = server.client.post(
        "/infer", content=parts(b"{}"), headers={"content-type": "text/plain"}
    )
    assert answer.status_code == 415


def test_a_bad_row_spoils_only_its_own_request(server: ModelServer) -> None:
    """Requests in one pipeline chunk share a batch; each has its own answer."""
    good = json.dumps(tensor()).encode()
    bad = json.dumps(tensor(data=[1, 2, 3, "x"])).encode()
    sockets = [server.connect() for _ in range(20)]
    try:
        for number, connection in enumerate(sockets):
            body = bad if number % 3 == 0 else good
            connection.sendall(
                b"POST /infer HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(body), body)
            )
        statuses = [connection.recv(65536)[9:12] for connection in sockets]
    finally:
        for connection in sockets:
            connection.close()
    assert statuses == [b"400" if number % 3 == 0 else b"200" for number in range(20)]
