"""The real gRPC client of the protocol's publishers against the real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slipway import images
from tests.server.conftest import COLUMNS, Tiny
from tests.support.grpc_calls import free_port
from tests.support.model_server import ModelServer
from tests.support.triton_client import Triton, TritonError


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def both(
    models: Path, port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelServer]:
    """A server that answers by HTTP and gRPC."""
    log = tmp_path_factory.mktemp("both") / "log"
    log.mkdir()
    with ModelServer(
        models, log, GRPC_PORT=port, MAX_BODY_BYTES=65536, MAX_REQUEST_ROWS=300
    ) as running:
        yield running


@pytest.fixture(scope="module")
def triton(both: ModelServer, port: int) -> Iterator[Triton]:
    with Triton("grpc", f"127.0.0.1:{port}") as client:
        yield client


def tensor(rows: Any, **changes: Any) -> dict[str, Any]:
    """An input of the test model for `infer` (raw contents)."""
    data = np.asarray(rows, np.float32).tolist()
    return {
        "name": "X",
        "datatype": "FP32",
        "dtype": "<f4",
        "data": data,
        **changes,
    }


def typed(rows: Any, **changes: Any) -> dict[str, Any]:
    """The same for `typed`."""
    values = np.asarray(rows, np.float32)
    return {
        "name": "X",
        "datatype": "FP32",
        "shape": list(values.shape),
        "field": "fp32_contents",
        "data": values.ravel().tolist(),
        **changes,
    }


def test_our_messages_are_the_published_ones(triton: Triton) -> None:
    """Each field has the number, type and repetition that the client has."""
    from model_server.grpc_messages import INFERENCE, MESSAGES, message

    published = triton.ask("fields")
    for name in MESSAGES[INFERENCE]:
        for field in message(name).DESCRIPTOR.fields:
            ours = [field.number, field.type, field.is_repeated]
            assert published[name][field.name] == ours, f"{name}.{field.name}"


def test_health_and_metadata(triton: Triton) -> None:
    assert triton.ask("is_server_live") is True
    assert triton.ask("is_server_ready") is True
    assert triton.ask("is_model_ready", model_name="tiny") is True
    assert triton.ask("get_server_metadata")["name"] == "slipway-model-server"
    assert triton.ask("get_model_metadata", model_name="tiny", as_json=True) == {
        "name": "tiny",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "X", "datatype": "FP32", "shape": ["-1", str(COLUMNS)]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": ["-1"]},
            {"name": "probabilities", "datatype": "FP32", "shape": ["-1", "2"]},
        ],
    }


def test_raw_contents_equal_scikit_learn(triton: Triton, tiny: Tiny) -> None:
    answer = triton.ask(
        "infer", model="tiny", inputs=[tensor(tiny.rows[:300])], outputs=None
    )
    found = np.array(answer["outputs"]["probabilities"]["data"])
    assert found.shape == (300, 2)
    assert np.abs(found - tiny.probabilities()[:300]).max() < 1e-6
    labels = answer["outputs"]["label"]
    assert labels["dtype"] == "<i8"
    assert labels["data"] == tiny.classifier.predict(tiny.rows[:300]).tolist()


def test_typed_contents_equal_scikit_learn(triton: Triton, tiny: Tiny) -> None:
    answer = triton.ask(
        "typed", model="tiny", version="1", inputs=[typed(tiny.rows[:5])], outputs=[]
    )
    label, probabilities = answer["outputs"]
    assert "raw_output_contents" not in answer
    assert probabilities["shape"] == ["5", "2"]
    found = np.array(probabilities["contents"]["fp32_contents"]).reshape(5, 2)
    assert np.abs(found - tiny.probabilities()[:5]).max() < 1e-6
    expected = tiny.classifier.predict(tiny.rows[:5]).tolist()
    assert [int(it) for it in label["contents"]["int64_contents"]] == expected


def test_outputs_and_ids(triton: Triton, tiny: Tiny, both: ModelServer) -> None:
    answer = triton.ask(
        "infer",
        model="tiny",
        inputs=[tensor(tiny.rows[:1])],
        outputs=["label"],
        request_id="asked-1",
        model_version="1",
    )
    assert (answer["id"], answer["model_version"]) == ("asked-1", "1")
    assert list(answer["outputs"]) == ["label"]
    answer = triton.ask("infer", model="tiny", inputs=[tensor([[1] * 4])], outputs=None)
    assert len(answer["id"]) > 10


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"model": "nosuch"}, "NOT_FOUND", "no model 'nosuch' here; there is tiny"),
        (
            {"model_version": "9"},
            "NOT_FOUND",
            "tiny has no version '9' here; there is 1",
        ),
        (
            {"headers": {"x-model-revision": "old"}},
            "NOT_FOUND",
            "tiny has no revision 'old' here; there is sha256:",
        ),
        ({"inputs": [tensor([[1] * 4], name="Y")]}, "INVALID_ARGUMENT", '"Y"'),
        ({"inputs": [tensor([[1] * 3])]}, "INVALID_ARGUMENT", "[1,3] is not the"),
        (
            {"inputs": [tensor([[1] * 4], dtype="<i4", datatype="INT32")]},
            "INVALID_ARGUMENT",
            '"INT32" is not the model\'s FP32',
        ),
        ({"inputs": [tensor([[1, 2, 3, "nan"]])]}, "INVALID_ARGUMENT", "not a finite"),
        ({"inputs": [tensor([[1] * 4] * 301)]}, "INVALID_ARGUMENT", "301 rows"),
        ({"inputs": [tensor([[1] * 4] * 5000)]}, "RESOURCE_EXHAUSTED", "at most 65536"),
        ({"outputs": ["odds"]}, "INVALID_ARGUMENT", "outputs[0].name: "),
        ({"request_id": "a b"}, "INVALID_ARGUMENT", 'id: "a b" must be at most'),
    ],
)
def test_errors(triton: Triton, asked: dict[str, Any], status: str, words: str) -> None:
    right: dict[str, Any] = {"model": "tiny", "inputs": [tensor([[1] * 4])]}
    with pytest.raises(TritonError) as caught:
        triton.ask("infer", **{**right, "outputs": None, **asked})
    assert caught.value.status == f"StatusCode.{status}"
    assert words in caught.value.message


def test_a_client_that_waits_no_longer(slow_models: Path, log_folder: Path) -> None:
    """The model takes 30 ms; gRPC counts deadlines in whole milliseconds."""
    port = free_port()
    with (
        ModelServer(slow_models, log_folder, GRPC_PORT=port),
        Triton("grpc", f"127.0.0.1:{port}") as triton,
        pytest.raises(TritonError) as caught,
    ):
        triton.ask(
            "infer",
            model="slow",
            inputs=[tensor([[1] * 4])],
            outputs=None,
            client_timeout=1e-6,
        )
    assert caught.value.status == "StatusCode.DEADLINE_EXCEEDED"
    assert "eadline" in caught.value.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": [1.0] * 5}, "inputs[0].data: 20 bytes, FP32 of the shape"),
        (
            {"field": "fp64_contents"},
            "inputs[0].contents.fp64_contents: FP32 stands in fp32_contents",
        ),
        ({"datatype": "FP16"}, "FP16 has no typed contents"),
        ({"shape": [-1, 4]}, "inputs[0].shape: [-1,4] is not the model's"),
        ({"shape": [2**62, 4]}, "rows, one request may have 300"),
        (
            {"datatype": "INT8", "field": "int_contents", "data": [1, 2, 3, 300]},
            "inputs[0].contents.int_contents: a value is not one that INT8 can hold",
        ),
    ],
)
def test_errors_of_typed_contents(
    triton: Triton, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(TritonError) as caught:
        triton.ask(
            "typed", model="tiny", inputs=[typed([[1] * 4], **changes)], outputs=[]
        )
    assert caught.value.status == "StatusCode.INVALID_ARGUMENT"
    assert words in caught.value.message


def test_real_rows_equal_scikit_learn(tmp_path: Path) -> None:
    """The lab's own model on rows of the survey that it was not trained on."""
    log = tmp_path / "log"
    log.mkdir()
    port = free_port()
    models = tmp_path / "models"
    models.mkdir()
    (models / "employment").symlink_to(images.model_folder("employment"))
    rows, expected = images.real_rows("employment", 256)
    with (
        ModelServer(models, log, GRPC_PORT=port),
        Triton("grpc", f"127.0.0.1:{port}") as client,
    ):
        metadata = client.ask("get_model_metadata", model_name="employment")
        answer = client.ask(
            "infer",
            model="employment",
            inputs=[tensor(rows, name=metadata["inputs"][0]["name"])],
            outputs=["probability"],
        )
    found = np.array(answer["outputs"]["probability"]["data"]).reshape(expected.shape)
    assert np.abs(found - expected).max() < 1e-6
