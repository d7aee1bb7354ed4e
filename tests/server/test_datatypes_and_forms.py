"""Every datatype in every form: what a model is given, and what it gives back.

One server and one predictor have all models; each gives its input `a` back as `b`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests.support.forms import (
    CALLERS_FAULT,
    FLOATING,
    FORMS,
    SERVERS_FAULT,
    TYPED,
    Ask,
    RefusedError,
    Server,
)
from tests.support.grpc_calls import free_port
from tests.support.model_server import START_SECONDS, ModelServer
from tests.support.onnx_models import entry, write_model, write_same

FREE = [-1, -1, 2]
VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False, True],
    "UINT8": [0, 1, 255],
    "UINT16": [0, 1, 2**16 - 1],
    "UINT32": [0, 1, 2**32 - 1],
    "UINT64": [0, 1, 2**64 - 1],
    "INT8": [-128, 0, 127],
    "INT16": [-(2**15), 0, 2**15 - 1],
    "INT32": [-(2**31), 0, 2**31 - 1],
    "INT64": [-(2**63), 0, 2**63 - 1],
    "FP16": [-65504.0, 0.5, 65504.0],
    "BF16": [-(2.0**127), 0.5, 255 * 2.0**120],
    "FP32": [-(2.0**127), 0.5, 16777215.0],
    "FP64": [-1.7e308, 0.1, 2.0**53],
    "BYTES": ["", 'a, "b" and ]', "é\u0000\U0001f600"],
}
INFINITE = {"json", "nested json"}
"""Forms that have no infinity."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def server(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    from model_server.adapters import Predictor

    folder = tmp_path_factory.mktemp("forms") / "models"
    for kind in VALUES:
        write_same(folder / f"same-{kind}", kind)
        write_same(folder / f"free-{kind}", kind, FREE, max_shape=[-1, 40, 2])
    for kind in FLOATING:
        write_same(folder / f"gaps-{kind}", kind, missing_values=True)
        write_same(folder / f"free-gaps-{kind}", kind, FREE, missing_values=True)
    write_quotients(folder)
    port = free_port()
    made = Predictor.from_environment(
        {
            "MODEL_SERVER_MODELS": str(folder),
            "MODEL_SERVER_PREDICTION_LOG": "",
            "MODEL_SERVER_MAX_BATCH_ROWS": "4",
            "MODEL_SERVER_THREADS": "1",
        }
    )
    made.start()
    with ModelServer(folder, log, GRPC_PORT=port, MAX_BATCH_ROWS=4) as http:
        wait_until_ready(made)
        yield Server(http, port, made)
    made.close()


def wait_until_ready(predictor: Any) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not predictor.is_ready:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def write_quotients(folder: Path) -> None:
    """Write models that divide by their input: 0 / 0 is NaN and 1 / 0 infinite."""
    one = numpy_helper.from_array(np.ones(1, np.float32), "one")
    for name, settings in (("plain", {}), ("set", {"missing_values": True})):
        write_model(
            folder / f"quotients-{name}",
            [
                helper.make_node("Div", ["a", "a"], ["nan_at_0"]),
                helper.make_node("Div", ["one", "a"], ["infinite_at_0"]),
                helper.make_node("Identity", ["a"], ["same"]),
            ],
            [entry("a", "FP32", [-1, 1])],
            [
                entry("nan_at_0", "FP32", [-1, 1], **settings),
                entry("infinite_at_0", "FP32", [-1, 1], **settings),
                entry("same", "FP32", [-1, 1]),
            ],
            initializers=[one],
        )


def taken(form: str, kind: str) -> bool:
    if form == "python lists":
        return kind != "UINT64"  # numpy makes floats of such lists, which are refused
    return not (form == "grpc typed" and kind not in TYPED)


CASES = [(form, kind) for kind in VALUES for form in FORMS if taken(form, kind)]


@pytest.mark.parametrize(("form", "kind"), CASES)
def test_every_value_comes_back(server: Server, form: str, kind: str) -> None:
    """One row, two rows, and more rows than one run has."""
    ask = FORMS[form]
    for rows in (1, 2, 9):
        shape, values = [rows, 3], VALUES[kind] * rows
        found = ask(server, f"same-{kind}", kind, shape, values)
        assert found == {"b": (shape, values)}


@pytest.mark.parametrize(("form", "kind"), CASES)
def test_free_dimensions(server: Server, form: str, kind: str) -> None:
    """Sizes differ from request to request; too large or none is the caller's fault."""
    ask = FORMS[form]
    model = f"free-{kind}"
    for rows, size in ((1, 1), (1, 3), (2, 3), (9, 2), (1, 40)):
        shape = [rows, size, 2]
        values = (VALUES[kind] * rows * size)[: rows * size * 2]
        assert ask(server, model, kind, shape, values) == {"b": (shape, values)}
    for shape, words in (
        ([1, 41, 2], "is larger than the model's max_shape [-1,40,2]"),
        ([1, 3, 3], "is not the model's [-1, -1, 2]"),
        ([1, 6], "is not the model's [-1, -1, 2]"),
    ):
        values = (VALUES[kind] * 41)[: int(np.prod(shape))]
        error = refused(ask, server, model, kind, shape, values)
        assert error.code in CALLERS_FAULT
        assert words.replace(" ", "") in error.text.replace(" ", "")


def refused(  # noqa: PLR0917, as what it calls
    ask: Ask,
    server: Server,
    model: str,
    kind: str,
    shape: list[int],
    values: list[Any],
) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        ask(server, model, kind, shape, values)
    return caught.value


@pytest.mark.parametrize(("form", "kind"), [it for it in CASES if it[1] in FLOATING])
def test_missing_values_need_the_setting(server: Server, form: str, kind: str) -> None:
    ask = FORMS[form]
    values = [None, 0.5, None]
    assert ask(server, f"gaps-{kind}", kind, [1, 3], values) == {"b": ([1, 3], values)}
    shape, six = [1, 3, 2], [*values, 1.0, 2.0, None]
    assert ask(server, f"free-gaps-{kind}", kind, shape, six) == {"b": (shape, six)}
    error = refused(ask, server, f"same-{kind}", kind, [1, 3], [0.5, None, 1.0])
    assert error.code in CALLERS_FAULT
    assert "missing_values: true" in error.text
    if form not in INFINITE:
        for model in (f"gaps-{kind}", f"same-{kind}", f"free-{kind}"):
            shape = [1, 1, 2] if "free" in model else [1, 2]
            infinite = [1.0, float("inf")]
            if "free" not in model:
                shape, infinite = [1, 3], [*infinite, None if "gaps" in model else 0.0]
            error = refused(ask, server, model, kind, shape, infinite)
            assert error.code in CALLERS_FAULT
            assert "value 1 " in error.text


@pytest.mark.parametrize("form", [it for it in FORMS if it != "python lists"])
@pytest.mark.parametrize("kind", [it for it in VALUES if it not in FLOATING])
def test_nothing_else_may_be_missing(server: Server, form: str, kind: str) -> None:
    if "json" not in form:
        return  # there is no NaN of these datatypes
    error = refused(FORMS[form], server, f"same-{kind}", kind, [1, 3], [None] * 3)
    assert error.code == "400"
    assert "value 0 (row by row) is null" in error.text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [7, 0.5, True, None])
def test_what_is_no_text(server: Server, form: str, value: Any) -> None:
    if "json" not in form and "lists" not in form:
        return  # the others are bytes, or an array that has a type
    values = ["a", value, "b"]
    error = refused(FORMS[form], server, "same-BYTES", "BYTES", [1, 3], values)
    assert error.code == "400"
    assert "value 1 " in error.text


RAW_TEXTS = {
    "ends in a length": (b"\1\0\0\0a" * 2 + b"\1\0", "end within text 2 of 3"),
    "ends in a text": (b"\1\0\0\0a" * 2 + b"\2\0\0\0a", "end within text 2 of 3"),
    "is too long": (b"\1\0\0\0a" * 3 + b"x", "1 bytes follow the last of 3"),
    "a huge length": (b"\xff\xff\xff\xff" * 3, "end within text 0 of 3"),
    "no UTF-8": (b"\1\0\0\0a" * 2 + b"\1\0\0\0\xff", "value 2 (row by row) is not"),
}


@pytest.mark.parametrize(("data", "words"), RAW_TEXTS.values(), ids=RAW_TEXTS.keys())
def test_bytes_that_are_no_texts(
    server: Server, monkeypatch: pytest.MonkeyPatch, data: bytes, words: str
) -> None:
    monkeypatch.setattr("tests.support.forms.pack", lambda *_: data)
    for form in ("bytes", "grpc raw"):
        error = refused(FORMS[form], server, "same-BYTES", "BYTES", [1, 3], [])
        assert error.code in CALLERS_FAULT
        assert words in error.text


@pytest.mark.parametrize("form", FORMS)
def test_what_is_not_finite_in_an_output(server: Server, form: str) -> None:
    """NaN where it is set; infinity never; the error names the output."""
    ask = FORMS[form]
    error = refused(ask, server, "quotients-plain", "FP32", [1, 1], [0.0])
    assert error.code in SERVERS_FAULT
    assert "not finite, in its output nan_at_0" in error.text
    error = refused(ask, server, "quotients-set", "FP32", [1, 1], [0.0])
    assert error.code in SERVERS_FAULT
    assert "infinite, in its output infinite_at_0" in error.text
    for name in ("plain", "set"):
        found = ask(server, f"quotients-{name}", "FP32", [2, 1], [2.0, -4.0])
        assert found["infinite_at_0"] == ([2, 1], [0.5, -0.25])


def outputs(
    server: Server, model: str, value: float, *names: str, is_binary: bool = False
) -> Any:
    tensor = {"name": "a", "datatype": "FP32", "shape": [1, 1], "data": [value]}
    parameters = {"binary_data": True} if is_binary else {}
    wanted = [{"name": name, "parameters": parameters} for name in names]
    return server.http.client.post(
        f"/v2/models/{model}/infer", json={"inputs": [tensor], "outputs": wanted}
    )


def test_an_output_that_nobody_asked_for_fails_nothing(server: Server) -> None:
    answer = outputs(server, "quotients-plain", 0.0, "same")
    assert answer.status_code == 200
    assert [it["data"] for it in answer.json()["outputs"]] == [[0.0]]
    answer = outputs(server, "quotients-plain", 0.0, "same", is_binary=True)
    assert answer.status_code == 200
    answer = outputs(server, "quotients-plain", 0.0, "same", "nan_at_0")
    assert answer.status_code == 500
    assert "nan_at_0" in answer.json()["error"]
    answer = outputs(server, "quotients-set", 0.0, "same", "nan_at_0")
    assert [it["data"] for it in answer.json()["outputs"]] == [[0.0], [None]]
    answer = outputs(server, "quotients-set", 0.0, "nan_at_0", is_binary=True)
    assert np.isnan(np.frombuffer(answer.content[-4:], "<f4")).all()


def test_metadata_and_documents_say_what_is_taken(server: Server) -> None:
    client = server.http.client
    found = client.get("/v2/models/free-gaps-BF16").json()
    assert found["inputs"] == [
        {
            "name": "a",
            "datatype": "BF16",
            "shape": FREE,
            "parameters": {"missing_values": True, "max_shape": [-1, 4096, 2]},
        }
    ]
    assert found["outputs"][0]["parameters"] == {"missing_values": True}
    assert "parameters" not in client.get("/v2/models/same-FP32").json()["inputs"][0]

    document = client.get("/v2/models/free-gaps-BF16/openapi.json").json()
    schema = document["components"]["schemas"]["free-gaps-BF16-1-request"]
    tensor = schema["properties"]["inputs"]["items"]["properties"]
    assert tensor["shape"]["prefixItems"][1:] == [
        {"type": "integer", "minimum": 1, "maximum": 4096},
        {"const": 2},
    ]
    flat, nested = tensor["data"]["anyOf"]
    assert flat["items"]["type"] == ["number", "null"]
    assert (flat["minItems"], flat["maxItems"]) == (2, 1024 * 4096 * 2)
    assert (nested["items"]["minItems"], nested["items"]["maxItems"]) == (1, 4096)
    document = client.get("/v2/models/free-BYTES/openapi.json").json()
    (path,) = [it for it in document["paths"] if "versions/1/infer" in it]
    body = document["paths"][path]["post"]["requestBody"]["content"]
    example = body["application/json"]["example"]
    assert example["inputs"][0]["shape"] == [1, 1, 2]
    answer = client.post("/v2/models/free-BYTES/infer", json=example)
    assert answer.json()["outputs"][0]["data"] == ["", ""]
