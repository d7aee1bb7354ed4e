"""Values of features stand where the log policy has them, and nowhere else.

Requests with planted values, right and wrong ones, go through every way of serving.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests.support import grpc_calls
from tests.support.contracts import contract, misfits
from tests.support.example_app import FRAMEWORKS, ExampleApp
from tests.support.model_server import ModelServer
from tests.support.onnx_models import entry, write_model

KEY = b"a key of the tests, not a secret"
TABLE = [0.25, 0.5, 0.75]
KEPT, DROPPED, HASHED, PROTECTED = 150000.5, 314159.25, 424242.0, 777123.5
BEYOND = 987654
"""Too large an id for the table."""
DROPPED_TEXT, HASHED_TEXT, PROTECTED_TEXT = "planted-a", "planted-b", "planted-c"
_NUMBERS = (int(DROPPED), int(HASHED), int(PROTECTED), BEYOND, "3.14159e")
PLANTED = re.compile(rf"planted|(?<![\d.])({'|'.join(map(str, _NUMBERS))})")
HEADERS = {
    "authorization": "Bearer planted-token",
    "cookie": "session=planted-cookie",
    "x-api-key": "planted-key",
    "referer": "http://planted-referer/",
    "user-agent": "planted-agent",
}
ODD_HEADERS = {
    "x-request-id": "planted id with spaces",
    "x-model-revision": "planted-revision",
    "x-request-timeout-ms": "planted-timeout",
    "content-encoding": "planted-coding",
    "inference-header-content-length": "planted-length",
}
"""Whose values a refusal may give back to the caller, and to nobody else."""
LOG = {
    "bucket": {"income": 100000},
    "hash": ["member", "t[1]"],
    "protected": ["sex", "t[2]"],
}


def write_planted(folder: Path) -> None:
    """Write a model that looks an id up and reads a text as a number.

    So it refuses ids beyond its table and raises at text that is not a number, both in
    words of onnxruntime. Its decision depends on the id alone.
    """
    write_model(
        folder / "guarded",
        [
            helper.make_node("Gather", ["table", "ids"], ["y"]),
            helper.make_node("Gather", ["t", "last"], ["number"], axis=1),
            helper.make_node("Cast", ["number"], ["z"], to=1),
        ],
        [
            entry("x", "FP32", [-1, 4]),
            entry("t", "BYTES", [-1, 4]),
            entry("ids", "INT64", [-1]),
        ],
        [entry("y", "FP32", [-1]), entry("z", "FP32", [-1])],
        initializers=[
            numpy_helper.from_array(np.array(TABLE, np.float32), "table"),
            numpy_helper.from_array(np.array(3, np.int64), "last"),
        ],
        features=["income", "spent", "member", "sex"],
        prediction={"decision": "y"},
        rows="dependent",
        warm_up={"x": [[0] * 4], "t": [["", "", "", "1"]], "ids": [0]},
        log=LOG,
    )


def body(**changes: Any) -> dict[str, Any]:
    """A request of one row with all planted values; `changes` are other data."""
    data = {
        "x": [KEPT, DROPPED, HASHED, PROTECTED],
        "t": [DROPPED_TEXT, HASHED_TEXT, PROTECTED_TEXT, "1.5"],
        "ids": [1],
        **changes,
    }
    kinds = {"x": "FP32", "t": "BYTES", "ids": "INT64"}
    return {
        "inputs": [
            {
                "name": name,
                "datatype": kinds[name],
                "shape": [1] if name == "ids" else [1, 4],
                "data": values,
            }
            for name, values in data.items()
        ]
    }


WRONG = {
    "text for a number": body(x=[KEPT, DROPPED_TEXT, HASHED, PROTECTED]),
    "beyond the datatype": body(x=[KEPT, 3.14159e39, HASHED, PROTECTED]),
    "number for a text": body(t=[DROPPED, HASHED_TEXT, PROTECTED_TEXT, "1.5"]),
    "fraction for an id": body(ids=[DROPPED]),
    "list for a value": body(x=[KEPT, [DROPPED], HASHED, PROTECTED]),
    "not in the shape": body(x=[KEPT, DROPPED, HASHED]),
    "refused by the model": body(ids=[BEYOND]),
    "raised by the model": body(
        t=[DROPPED_TEXT, HASHED_TEXT, PROTECTED_TEXT, "planted-d"]
    ),
}


@dataclass
class Shown:
    """What a server has let anybody see."""

    folder: Path
    texts: list[str] = field(default_factory=list)
    """Its errors, metrics and own log."""

    def lines(self, kind: str) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for file in sorted(self.folder.glob(f"{kind}-*.jsonl"))
            for line in file.read_text().splitlines()
        ]


@pytest.fixture(scope="module", params=["server", "grpc", *FRAMEWORKS])
def shown(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Shown:
    folder = tmp_path_factory.mktemp(request.param)
    write_planted(folder / "models")
    key = folder / "key"
    key.write_bytes(KEY)
    log = folder / "log"
    log.mkdir()
    settings = {"PREDICTION_LOG_HASH_KEY_FILE": key, "LOG_LEVEL": "debug"}
    found = Shown(log)
    if request.param == "grpc":
        port = grpc_calls.free_port()
        server = ModelServer(folder / "models", log, GRPC_PORT=port, **settings)
    elif request.param == "server":
        server = ModelServer(folder / "models", log, **settings)
    else:
        server = ExampleApp(request.param, folder / "models", log, **settings)
    with server:
        if request.param == "grpc":
            found.texts += ask_by_grpc(port)
        else:
            found.texts += ask_by_http(server)
        found.texts.append(server.client.get("/metrics").text)
        assert server.stop() == 0
    found.texts.append(server.output.read_text())
    return found


def ask_by_http(server: ModelServer) -> list[str]:
    """The errors of all wrong requests, after a right one."""
    headers = {"x-request-id": "right"}
    server.client.post("/infer", json=body(), headers=headers).raise_for_status()
    # First, since a log line that comes again within a second is held back.
    for path in ("/planted-path/v2", "/infer?member=planted-query"):
        for method in ("GET", "POST"):
            refused = WRONG["not in the shape"]
            asked = server.client.request(method, path, json=refused, headers=HEADERS)
            assert asked.is_client_error, path
    found = []
    for name, content in WRONG.items():
        answer = server.client.post("/infer", json=content)
        assert answer.status_code in (400, 500), name
        found.append(answer.text)
    for name, value in ODD_HEADERS.items():
        odd = {name: value}
        assert server.client.post("/infer", json=body(), headers=odd).is_client_error
    return found


def ask_by_grpc(port: int) -> list[str]:
    """The same over gRPC, of what its messages can say."""
    from model_server.grpc_messages import message

    def data(asked: dict[str, Any]) -> bytes:
        fields = {"FP32": "fp32_contents", "BYTES": "bytes_contents"}
        inputs = []
        for it in asked["inputs"]:
            name = fields.get(it["datatype"], "int64_contents")
            values = it["data"]
            if name == "bytes_contents":
                values = [text.encode() for text in values]
            inputs.append({**it, "contents": {name: values}})
            del inputs[-1]["data"]
        made: bytes = message("ModelInferRequest")(
            model_name="guarded", inputs=inputs
        ).SerializeToString()
        return made

    found = []
    with grpc_calls.channel(port) as channel:
        call = channel.unary_unary(grpc_calls.METHOD)
        call(data(body()), metadata=[("x-request-id", "right")])
        for name in ("not in the shape", "refused by the model", "raised by the model"):
            with pytest.raises(grpc.RpcError) as caught:
                call(data(WRONG[name]))
            found += [caught.value.details(), str(caught.value.trailing_metadata())]
    return found


def test_planted_values_are_in_no_error_metric_or_log_line(shown: Shown) -> None:
    for text in shown.texts:
        assert PLANTED.search(text) is None, text
    everything = "\n".join(shown.texts)
    assert "the model refuses the values: its words are left out" in everything
    assert "the model raised: its words are left out" in everything


def test_the_log_has_what_the_policy_says(shown: Shown) -> None:
    first, *errors = shown.lines("predictions")

    def hashed(text: str) -> str:
        return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()[:32]

    assert first["id"] == "right"
    assert first["features"] == {
        "income": 100000.0,
        "member": hashed("424242"),
        "t[1]": hashed(HASHED_TEXT),
    }
    assert first["decision"] == 0.5
    assert PLANTED.search(json.dumps([first, *errors])) is None
    assert errors
    odd = {
        *("invalid_request_id", "unknown_revision", "invalid_timeout"),
        "unsupported_media_type",
    }
    assert {it["code"] for it in errors} <= {"invalid_request", "model_failed", *odd}


def test_protected_attributes_are_in_files_of_their_own(shown: Shown) -> None:
    (first,) = shown.lines("predictions")[:1]
    assert shown.lines("protected") == [
        {
            **{key: first[key] for key in ("id", "row", "time", "model", "revision")},
            "attributes": {"sex": PROTECTED, "t[2]": PROTECTED_TEXT},
        }
    ]
    files = sorted(shown.folder.iterdir())
    modes = {it.name.partition("-")[0]: stat.S_IMODE(it.stat().st_mode) for it in files}
    assert modes == {"predictions": 0o640, "protected": 0o600}


def test_every_line_is_as_the_contract_has_it(shown: Shown) -> None:
    agreed = contract("prediction_record")
    for kind, fields in (("predictions", "fields"), ("protected", "protected_fields")):
        found = shown.lines(kind)
        assert found
        for record in found:
            assert misfits(record, agreed[fields]) == [], record
    names = [agreed["files"][kind] for kind in ("predictions", "protected")]
    pattern = rf"({'|'.join(names)}).+-\d{{8}}T\d{{6}}-\d+-\d+"
    for file in shown.folder.iterdir():
        assert re.fullmatch(pattern + re.escape(agreed["files"]["finished"]), file.name)


def test_a_model_that_keeps_all_may_say_what_is_wrong(tmp_path: Path) -> None:
    """Then onnxruntime's words hold nothing that the log does not."""
    write_model(
        tmp_path / "models" / "lookup",
        [helper.make_node("Gather", ["table", "ids"], ["y"])],
        [entry("ids", "INT64", [-1])],
        [entry("y", "FP32", [-1])],
        initializers=[numpy_helper.from_array(np.array(TABLE, np.float32), "table")],
        log={"keep": ["ids"]},
    )
    write_model(
        tmp_path / "models" / "silent",
        [helper.make_node("Gather", ["table", "ids"], ["y"])],
        [entry("ids", "INT64", [-1])],
        [entry("y", "FP32", [-1])],
        initializers=[numpy_helper.from_array(np.array(TABLE, np.float32), "table")],
    )
    tensor = {"name": "ids", "datatype": "INT64", "shape": [1], "data": [BEYOND]}
    log = tmp_path / "log"
    log.mkdir()
    with ModelServer(tmp_path / "models", log) as server:
        told = {
            name: server.client.post(
                f"/v2/models/{name}/infer", json={"inputs": [tensor]}
            ).json()["error"]
            for name in ("lookup", "silent")
        }
    assert f"idx={BEYOND} must be within the inclusive range [-3,2]" in told["lookup"]
    assert "idx=# must be within the inclusive range [#,#]" in told["silent"]


def test_a_fault_is_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    from model_server.logs import JsonFormatter, log_fault

    words = "planted"
    try:
        float(words)
    except ValueError as error:
        log_fault(logging.getLogger("any"), "it broke", error, request_id="mine")
    content = json.loads(JsonFormatter().format(caplog.records[-1]))
    assert (content["message"], content["error"]) == ("it broke", "ValueError")
    assert content["request_id"] == "mine"
    assert __file__ in content["traceback"]
    assert words not in json.dumps(content)


def test_an_application_is_given_no_values_either(tmp_path: Path) -> None:
    from model_server.adapters import Predictor, RequestError

    write_planted(tmp_path)
    predictor = Predictor.from_environment(
        {"MODEL_SERVER_MODELS": str(tmp_path), "MODEL_SERVER_PREDICTION_LOG": ""}
    )
    predictor.start()
    rows = {"x": [[KEPT, DROPPED, HASHED, PROTECTED]], "t": [["a", "b", "c", "1"]]}
    wrong: list[dict[str, Any]] = [
        {**rows, "ids": [BEYOND]},
        {**rows, "ids": [DROPPED]},
        {**rows, "ids": ["planted"]},
        {**rows, "ids": [0], "x": [[KEPT, "planted", HASHED, PROTECTED]]},
        {**rows, "ids": [0], "x": [[KEPT, 3.14159e39, HASHED, PROTECTED]]},
        {**rows, "ids": [0], "t": [["a", "b", "c", "planted"]]},
        {**rows, "ids": [0], "t": [["a", DROPPED, "c", "1"]]},
    ]
    try:
        while not predictor.is_ready:
            assert predictor.http("GET", "/readyz", {}, bytes)[0] in (200, 503)
        for asked in wrong:
            with pytest.raises(RequestError) as caught:
                predictor.predict(asked)
            assert PLANTED.search(str(caught.value)) is None, asked
    finally:
        predictor.close()
