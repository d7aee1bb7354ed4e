"""TensorFlow Serving's REST predict, before a function in TensorFlow's place.

The shapes are those of its documentation:
https://github.com/tensorflow/serving/blob/master/tensorflow_serving/g3doc/api_rest.md
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.stand_ins import Columns, StandIn

PREDICT = "/v1/models/{}:predict"


def half_plus_two(columns: Columns) -> Columns:
    return {"y": columns["x"] / 2 + 2}


def scores(columns: Columns) -> Columns:
    total = columns["x"].sum(axis=1, dtype=np.float32) + columns["bias"]
    return {"score": np.stack([total, -total], axis=1), "label": columns["bias"] + 1}


def texts(columns: Columns) -> Columns:
    words = columns["word"]
    upper = np.array([it.upper() for it in words], object).reshape(words.shape)
    return {"upper": upper, "raw_bytes": upper, "size": columns["ids"].sum(axis=1)}


def tensor(name: str, datatype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1, *shape]}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    found = StandIn(tmp_path, monkeypatch)
    found.add(
        half_plus_two,
        name="half",
        inputs=[tensor("x", "FP32")],
        outputs=[tensor("y", "FP32")],
    )
    found.add(
        scores,
        name="scores",
        signature="score",
        inputs=[tensor("x", "FP32", 2), tensor("bias", "INT64")],
        outputs=[tensor("score", "FP32", 2), tensor("label", "INT64")],
    )
    found.add(
        texts,
        name="texts",
        inputs=[tensor("word", "BYTES"), tensor("ids", "INT32", -1)],
        outputs=[
            tensor("upper", "BYTES"),
            tensor("raw_bytes", "BYTES"),
            tensor("size", "INT64"),
        ],
    )
    return found


def predicted(server: StandIn, name: str, *bodies: Any) -> list[Any]:
    """The answers' status and content."""
    asked = [("POST", PREDICT.format(name), {"json": body}) for body in bodies]
    return [(it.status_code, it.json()) for it in server.ask(*asked)]


def test_rows_and_columns_of_one_input(server: StandIn) -> None:
    """The documentation's first example, without a content type as curl -d has it."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    path = PREDICT.format("half")
    asked = [
        ("POST", path, {"content": b'{"instances": [1.0, 2.0, 5.0]}', "headers": form}),
        ("POST", path, {"json": {"inputs": [1, 2, 5]}}),
        ("POST", path, {"json": {"inputs": {"x": [0.2]}}}),
        ("POST", path, {"json": {"instances": [{"x": 0.2}]}}),
        ("POST", "/v1/models/half/versions/1:predict", {"json": {"instances": [1]}}),
    ]
    answers = server.ask(*asked)
    assert [it.status_code for it in answers] == [200] * 5
    assert [it.json() for it in answers] == [
        {"predictions": [2.5, 3.0, 4.5]},
        {"outputs": [2.5, 3.0, 4.5]},
        {"outputs": [2.1]},
        {"predictions": [2.1]},
        {"predictions": [2.5]},
    ]
    assert answers[0].headers["x-model-revision"] == "r1"
    assert answers[0].headers["x-request-id"]


def test_rows_and_columns_of_several_inputs(server: StandIn) -> None:
    rows = [{"x": [1, 2], "bias": 1}, {"bias": 5, "x": [0.5, 0.25]}]
    columns = {"x": [[1, 2], [0.5, 0.25]], "bias": [1, 5]}
    by_rows, by_columns = predicted(
        server,
        "scores",
        {"signature_name": "score", "instances": rows},
        {"inputs": columns},
    )
    assert by_rows == (
        200,
        {
            "predictions": [
                {"score": [4.0, -4.0], "label": 2},
                {"score": [5.75, -5.75], "label": 6},
            ]
        },
    )
    assert by_columns == (
        200,
        {"outputs": {"score": [[4.0, -4.0], [5.75, -5.75]], "label": [2, 6]}},
    )


def test_texts_may_come_in_base64(server: StandIn) -> None:
    """Those of an output with the suffix _bytes are answered so."""
    coded = {"b64": base64.b64encode("ä".encode()).decode()}
    rows = [{"word": "a", "ids": [1, 2]}, {"word": coded, "ids": [3, 4]}]
    ((status, content),) = predicted(server, "texts", {"instances": rows})
    assert status == 200
    a, ae = (base64.b64encode(it.encode()).decode() for it in ("A", "Ä"))
    assert content["predictions"] == [
        {"upper": "A", "raw_bytes": {"b64": a}, "size": 3},
        {"upper": "Ä", "raw_bytes": {"b64": ae}, "size": 7},
    ]


WRONG: list[tuple[str, Any, int, str]] = [
    ("half", [], 400, "$: must be an object"),
    ("half", {}, 400, "$: give either instances (rows) or inputs (columns)"),
    ("half", {"instances": [1], "inputs": [1]}, 400, "$: give either instances"),
    ("half", {"instances": [1], "rows": 1}, 400, '$: unknown key "rows"'),
    ("half", {"instances": []}, 400, "instances: must be a list of at least one row"),
    ("half", {"inputs": 3}, 400, "inputs: must be a list with a value for each row"),
    ("half", {"instances": [1, "a"]}, 400, "instances: value 1 (row by row) is a text"),
    ("half", {"instances": [True]}, 400, "instances: value 0 (row by row) is a bool"),
    ("half", {"instances": [[1]]}, 400, "instances: value 0 (row by row) is a list"),
    ("half", {"instances": [1] * 9}, 413, "9 rows, one request may have 8"),
    ("half", {"instances": [{"z": 1}]}, 400, 'instances[0]: "z" is not one of the'),
    ("half", {"instances": [1, {"x": 1}]}, 400, "each row must be an object with x"),
    ("half", {"signature_name": "other", "instances": [1]}, 400, "serving_default is"),
    ("scores", {"instances": [[1, 2]]}, 400, "must be an object with x, bias"),
    ("scores", {"instances": [{"x": [1, 2]}]}, 400, "[0]: the model needs bias too"),
    ("scores", {"inputs": [[1, 2]]}, 400, "inputs: must be an object with x, bias"),
    (
        "scores",
        {"inputs": {"x": [[1, 2]], "bias": [1, 2]}},
        400,
        "inputs.bias: 2 rows, but x has 1",
    ),
    (
        "scores",
        {"inputs": {"x": [1, 2], "bias": [1]}},
        400,
        "inputs.x: is not nested in the shape [-1, 2]",
    ),
    (
        "scores",
        {"inputs": {"x": [[1, 2], [3]], "bias": [1, 2]}},
        400,
        "inputs.x: a list of 1 at depth 2, the shape [2, 2] has 2",
    ),
    (
        "scores",
        {"inputs": {"x": [[1, 2]], "bias": [1.5]}},
        400,
        "inputs.bias: value 0 (row by row)",
    ),
    (
        "texts",
        {"inputs": {"word": [{"b64": "/w=="}], "ids": [[1]]}},
        400,
        "inputs.word: b64 must be the Base64 of UTF-8",
    ),
    (
        "texts",
        {"inputs": {"word": [{"b65": "/w=="}], "ids": [[1]]}},
        400,
        "inputs.word: an object is not text, nor one in b64",
    ),
    (
        "texts",
        {"inputs": {"word": ["a"], "ids": [[]]}},
        400,
        "inputs.ids: [1,0] is not the model's [-1, -1]",
    ),
]


def test_what_is_wrong_is_told_in_its_form(server: StandIn) -> None:
    """{"error": text} alone, and the text names the place in this protocol's body."""
    asked = [("POST", PREDICT.format(name), {"json": body}) for name, body, *_ in WRONG]
    for answer, (name, body, status, part) in zip(
        server.ask(*asked), WRONG, strict=True
    ):
        content = answer.json()
        assert (answer.status_code, set(content)) == (status, {"error"}), (name, body)
        assert part in content["error"], (name, body)
        assert ".data" not in content["error"]


def test_a_body_that_is_not_json(server: StandIn) -> None:
    path = PREDICT.format("half")
    raw = {"inference-header-content-length": "17"}
    empty, broken, mixed = server.ask(
        ("POST", path, {}),
        ("POST", path, {"content": b'{"instances": [NaN]}'}),
        ("POST", path, {"content": b'{"instances":[1]}', "headers": raw}),
    )
    for answer, part in (
        (empty, "the body is empty"),
        (broken, "not JSON"),
        (mixed, "raw tensors are taken at /v2/models"),
    ):
        assert answer.status_code == 400
        assert part in answer.json()["error"]


def test_status_and_metadata(server: StandIn) -> None:
    server.add(
        half_plus_two,
        version="2",
        name="half",
        inputs=[tensor("x", "FP32")],
        outputs=[tensor("y", "FP32")],
    )
    everything, one, metadata, unknown, other, wrong = server.ask(
        ("GET", "/v1/models/half", {}),
        ("GET", "/v1/models/half/versions/1", {}),
        ("GET", "/v1/models/scores/metadata", {}),
        ("GET", "/v1/models/none", {}),
        ("POST", "/v1/models/half:classify", {"json": {}}),
        ("GET", "/v1/models/half:predict", {}),
    )
    states = everything.json()["model_version_status"]
    assert [it["version"] for it in states] == ["1", "2"]
    assert one.json() == {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    content = metadata.json()
    assert content["model_spec"] == {
        "name": "scores",
        "signature_name": "",
        "version": "1",
    }
    signature = content["metadata"]["signature_def"]["signature_def"]["score"]
    assert signature["inputs"]["x"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}],
            "unknown_rank": False,
        },
        "name": "x",
    }
    assert signature["outputs"]["label"]["dtype"] == "DT_INT64"
    for answer, status in ((unknown, 404), (other, 404), (wrong, 405)):
        assert (answer.status_code, set(answer.json())) == (status, {"error"})


def test_a_revision_is_picked_in_either_protocol(server: StandIn) -> None:
    def doubled(columns: Columns) -> Columns:
        return {"y": columns["x"] * 2}

    server.add(
        doubled,
        version="2",
        name="half",
        inputs=[tensor("x", "FP32")],
        outputs=[tensor("y", "FP32")],
    )
    body = {"json": {"instances": [3]}}
    first = {"x-model-revision": "r1"}
    newest, pinned, by_path, unknown, metadata = server.ask(
        ("POST", PREDICT.format("half"), body),
        ("POST", PREDICT.format("half"), {**body, "headers": first}),
        ("POST", "/v1/models/half/versions/1:predict", body),
        (
            "POST",
            PREDICT.format("half"),
            {**body, "headers": {"x-model-revision": "z"}},
        ),
        ("GET", "/v2/models/half", {}),
    )
    assert newest.json() == {"predictions": [6.0]}
    assert pinned.json() == by_path.json() == {"predictions": [3.5]}
    assert (unknown.status_code, set(unknown.json())) == (404, {"error"})
    assert metadata.json()["platform"] == "tensorflow_savedmodel"
    assert metadata.json()["parameters"]["evaluator"] == "tensorflow"


def test_the_open_inference_protocol_beside_it(server: StandIn) -> None:
    """The same model, its own error form, metrics of its own runtime, its document."""
    entry = {"name": "x", "shape": [1], "datatype": "FP32", "data": [3]}
    answer, wrong, metrics, document = server.ask(
        ("POST", "/v2/models/half/infer", {"json": {"inputs": [entry]}}),
        ("POST", "/v2/models/half/infer", {"json": {"instances": [3]}}),
        ("GET", "/metrics", {}),
        ("GET", "/openapi.json", {}),
    )
    assert answer.json()["outputs"][0]["data"] == [3.5]
    assert wrong.json()["code"] == "invalid_request"
    assert 'runtime="tensorflow"' in metrics.text
    assert "/v2/models/half/infer" in document.json()["paths"]
    assert not [it for it in document.json()["paths"] if it.startswith("/v1")]
