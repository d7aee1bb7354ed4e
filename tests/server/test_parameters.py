"""What stands in a request beside its tensors: taken, honoured or refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.server.conftest import COLUMNS
from tests.support.grpc_calls import METHOD, answer, channel, free_port
from tests.support.grpc_calls import request as grpc_request
from tests.support.model_server import ModelServer, request

ONE = [[1.0, 2.5, -3.0, 0.0]]
LEVELS = ("request", "input", "output")


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def both(
    models: Path, port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelServer]:
    log = tmp_path_factory.mktemp("both") / "log"
    log.mkdir()
    with ModelServer(models, log, GRPC_PORT=port) as running:
        yield running


@pytest.fixture(scope="module")
def stub(both: ModelServer, port: int) -> Iterator[Any]:
    with channel(port) as opened:
        yield opened.unary_unary(METHOD)


def body() -> dict[str, Any]:
    found: dict[str, Any] = request(ONE[0], COLUMNS)
    found["outputs"] = [{"name": "label"}, {"name": "probabilities"}]
    return found


def holder(document: dict[str, Any], level: str) -> tuple[dict[str, Any], str]:
    """The object of a level, and the path that errors call it by."""
    if level == "request":
        return document, ""
    return document[f"{level}s"][0], f"{level}s[0]."


FOREIGN = {
    "classification": (3, "classification"),
    "priority": (1, "schedule_policy"),
    "sequence_id": (7, "sequence"),
    "sequence_start": (True, "sequence"),
    "sequence_end": (True, "sequence"),
    "shared_memory_region": ("mine", "system_shared_memory"),
    "shared_memory_byte_size": (16, "system_shared_memory"),
    "shared_memory_offset": (0, "system_shared_memory"),
    "temperature": (0.3, "parameters"),
}
WRONG = {
    ("request", "timeout"): -1,
    ("request", "timeout "): 5,
    ("request", "binary_data"): True,
    ("request", "content_type"): "base64",
    ("input", "timeout"): 5,
    ("input", "content_type"): "datetime",
    ("output", "binary_data"): 1,
    ("output", "timeout"): 5,
}
NOTHING = [
    {},
    {"content_type": "np"},
    {"content_type": "pd"},
    {"priority": 0, "sequence_id": 0, "sequence_start": False, "sequence_end": False},
    {"sequence_id": "", "classification": 0},
]
REFUSED = [
    (level, name, value, f"extension {extension}")
    for name, (value, extension) in FOREIGN.items()
    for level in LEVELS
] + [(level, name, value, "") for (level, name), value in WRONG.items()]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: " ".join(map(str, case)))
def test_what_is_not_done_here_is_refused_by_name(
    both: ModelServer, stub: Any, case: tuple[str, str, Any, str]
) -> None:
    level, name, value, words = case
    document = body()
    bearer, prefix = holder(document, level)
    bearer["parameters"] = {name: value}
    found = both.client.post("/infer", json=document)
    assert found.status_code == 400, found.text
    told = found.json()
    assert told["code"] == "invalid_request"
    assert told["path"] == f"{prefix}parameters.{name}"
    assert words in told["error"]
    with pytest.raises(grpc.RpcError) as caught:
        stub(in_grpc(level, {name: value}))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert told["error"] == caught.value.details()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("given", NOTHING, ids=str)
def test_what_asks_for_nothing_is_taken(
    both: ModelServer, stub: Any, level: str, given: dict[str, Any]
) -> None:
    document = body()
    expected = both.client.post("/infer", json=document).json()["outputs"]
    nulls = dict.fromkeys(["headers", "priority", "mine"])
    holder(document, level)[0]["parameters"] = {**nulls, **given}
    found = both.client.post("/infer", json=document)
    assert found.status_code == 200, found.text
    assert found.json()["outputs"] == expected
    assert len(answer(stub(in_grpc(level, given))).outputs) == 2


def in_grpc(level: str, parameters: dict[str, Any]) -> bytes:
    """A ModelInferRequest with parameters at a level."""
    from model_server.grpc_messages import message

    kinds = {bool: "bool", int: "int64", str: "string", float: "double"}
    entries = [
        {"key": name, "value": {f"{kinds[type(value)]}_param": value}}
        for name, value in parameters.items()
    ]
    made = message("ModelInferRequest").FromString(grpc_request(ONE))
    for name in ("label", "probabilities"):
        made.outputs.add(name=name)
    bearer = {"request": made, "input": made.inputs[0], "output": made.outputs[0]}
    for entry in entries:
        bearer[level].parameters.add(**entry)
    data: bytes = made.SerializeToString()
    return data


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": ""},
        {"parameters": None},
        {"outputs": None},
        {"model_name": "tiny"},
        {"model_name": "", "model_version": ""},
        {"model_name": None, "model_version": None},
        {"model_name": "tiny", "model_version": "1"},
    ],
    ids=str,
)
def test_members_that_say_nothing_new(
    both: ModelServer, change: dict[str, Any]
) -> None:
    document = body()
    expected = both.client.post("/infer", json=document).json()["outputs"]
    document["inputs"][0]["parameters"] = None
    document["outputs"][0]["parameters"] = None
    found = both.client.post(
        "/v2/models/tiny/infer", json=document | change, headers={"x-request-id": ""}
    )
    assert found.status_code == 200, found.text
    assert found.json()["outputs"] == expected
    assert len(found.headers["x-request-id"]) > 10
    assert found.headers["x-request-id"] == found.json()["id"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_name": "another"}, 'model_name: "another" is not tiny'),
        ({"model_name": 1}, "model_name: 1 is not tiny"),
        ({"model_version": "2"}, 'model_version: "2" is not 1'),
        ({"model_version": 1}, "model_version: 1 is not 1"),
        ({"inputs": None}, "inputs: must be a list"),
        ({"name": "tiny"}, '$: unknown key "name"'),
    ],
)
def test_members_that_could_change_the_answer(
    both: ModelServer, change: dict[str, Any], words: str
) -> None:
    found = both.client.post("/infer", json=body() | change)
    assert found.status_code == 400
    assert words in found.json()["error"]


def test_an_empty_request_id_is_none_on_pages_too(both: ModelServer) -> None:
    for path in ("/healthz", "/v2/models/tiny"):
        found = both.client.get(path, headers={"x-request-id": ""})
        assert found.status_code == 200
        assert found.headers.get("x-request-id", "") == ""


def test_raw_bytes_beside_values_are_refused_without_their_header(
    both: ModelServer,
) -> None:
    document = body()
    document["inputs"][0]["parameters"] = {"binary_data_size": 16}
    found = both.client.post("/infer", json=document)
    assert found.status_code == 400
    assert found.json()["path"] == "inputs[0].data"


def test_a_timeout_is_honoured(slow_models: Path, log_folder: Path) -> None:
    """In microseconds; the model takes milliseconds and cannot keep one of them."""
    port = free_port()
    with (
        ModelServer(slow_models, log_folder, GRPC_PORT=port) as server,
        channel(port) as opened,
    ):
        document = request([1, 2, 3, 4], COLUMNS)
        document["parameters"] = {"timeout": 1}
        late = server.client.post("/infer", json=document)
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        for patience in (0, 60_000_000):
            document["parameters"] = {"timeout": patience}
            assert server.client.post("/infer", json=document).status_code == 200
        call = opened.unary_unary(METHOD)
        from model_server.grpc_messages import message

        made = message("ModelInferRequest").FromString(grpc_request(ONE, model="slow"))
        made.parameters.add(key="timeout", value={"int64_param": 1})
        with pytest.raises(grpc.RpcError) as caught:
            call(made.SerializeToString())
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        made.parameters[0].value.int64_param = 60_000_000
        assert call(made.SerializeToString())
        assert server.metrics()["model_batch_rows_sum"] == 3


@pytest.mark.parametrize("level", LEVELS)
def test_the_schema_of_documents_says_what_the_reader_takes(level: str) -> None:
    import jsonschema
    from model_server import parameters
    from model_server.errors import RequestError

    schema = jsonschema.Draft202012Validator(parameters.schema(level))
    names = [*FOREIGN, *{name for _, name in WRONG}, "binary_data_size"]
    values = [None, True, False, 0, 1, -1, 2**64 - 1, 2.0**64, "", "np", "x", [], {}]
    for name in names:
        for value in values:
            try:
                parameters.read("", level, {name: value})
            except RequestError:
                assert not schema.is_valid({name: value}), (name, value)
            else:
                assert schema.is_valid({name: value}), (name, value)
