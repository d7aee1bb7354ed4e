"""Configuration that is generated for servers, read by the servers' own definitions."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.serving.runtimes import TensorFlowServing, Triton, text_proto
from components.serving.runtimes.tensorflow_serving import METRICS_PATH
from toolchain import own_venv

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements-runtimes.txt"
RUNNER = HERE.parent / "support" / "text_proto_run.py"
MESSAGES = {
    "models.config": "ModelServerConfig",
    "monitoring.config": "MonitoringConfig",
    "batching.config": "BatchingParameters",
    "config.pbtxt": "ModelConfig",
}

Parse = Callable[[dict[str, str]], dict[str, Any]]


@pytest.fixture(scope="module")
def parse() -> Parse:
    """Files by their last name to what the server would read in them."""
    python = own_venv.python(REQUIREMENTS)

    def run(files: dict[str, str]) -> dict[str, Any]:
        named = {path.rpartition("/")[2]: text for path, text in files.items()}
        asked = {n: {"message": MESSAGES[n], "text": t} for n, t in named.items()}
        done = subprocess.run(
            [python, RUNNER],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=True,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


def tensorflow(**settings: Any) -> TensorFlowServing:
    return TensorFlowServing(kind="tensorflow_serving", **settings)


def triton(**settings: Any) -> Triton:
    return Triton(kind="triton", **{"backend": "onnxruntime", **settings})


def test_tensorflow_serving_reads_what_was_meant(parse: Parse) -> None:
    batching = {
        "max_batch_rows": 128,
        "wait_microseconds": 500,
        "max_waiting_batches": 9,
        "threads": 4,
    }
    found = parse(tensorflow(version=3, batching=batching).files("income"))
    assert found["models.config"] == {
        "parsed": {
            "model_config_list": {
                "config": [
                    {
                        "name": "income",
                        "base_path": "/models/income",
                        "model_platform": "tensorflow",
                        # Pinned: what is uploaded beside it is not loaded.
                        "model_version_policy": {"specific": {"versions": ["3"]}},
                    }
                ]
            }
        }
    }
    assert found["batching.config"] == {
        "parsed": {
            "max_batch_size": "128",
            "batch_timeout_micros": "500",
            "max_enqueued_batches": "9",
            "num_batch_threads": "4",
        }
    }
    prometheus = {"enable": True, "path": METRICS_PATH}
    assert found["monitoring.config"] == {"parsed": {"prometheus_config": prometheus}}


def test_without_batching_there_is_no_file_for_it() -> None:
    assert not [p for p in tensorflow().files("m") if "batching" in p]


def test_triton_reads_what_was_meant(parse: Parse) -> None:
    runtime = triton(
        version=2,
        max_batch_rows=32,
        model_instances=2,
        batching={
            "preferred_rows": [8, 16],
            "wait_microseconds": 1000,
            "max_waiting_requests": 50,
            "max_wait_milliseconds": 20,
        },
        inputs=[{"name": "x", "datatype": "FP32", "dims": [-1, 4]}],
        outputs=[{"name": "y", "datatype": "STRING", "dims": [1]}],
        gpus={"instance_types": ["g6.xlarge"]},
    )
    found = parse(runtime.files("reranker"))["config.pbtxt"]["parsed"]
    assert found == {
        "name": "reranker",
        "backend": "onnxruntime",
        "max_batch_size": 32,
        "version_policy": {"specific": {"versions": ["2"]}},
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": ["-1", "4"]}],
        "output": [{"name": "y", "data_type": "TYPE_STRING", "dims": ["1"]}],
        "instance_group": [{"count": 2, "kind": "KIND_GPU"}],
        "dynamic_batching": {
            "preferred_batch_size": [8, 16],
            "max_queue_delay_microseconds": "1000",
            "default_queue_policy": {
                "default_timeout_microseconds": "20000",
                "max_queue_size": 50,
            },
        },
    }


def test_on_cpus_and_without_batching(parse: Parse) -> None:
    found = parse(triton(batching=None).files("m"))["config.pbtxt"]["parsed"]
    assert found["instance_group"] == [{"count": 1, "kind": "KIND_CPU"}]
    assert "dynamic_batching" not in found


@pytest.mark.parametrize("datatype", ["BOOL", "UINT8", "INT64", "FP16", "BF16"])
def test_triton_knows_every_type_of_a_tensor(parse: Parse, datatype: str) -> None:
    tensor = {"name": 'a "name"', "datatype": datatype, "dims": [1]}
    files = triton(inputs=[tensor]).files("m")
    found = parse(files)["config.pbtxt"]["parsed"]
    assert found["input"][0]["data_type"] == f"TYPE_{datatype}"
    assert found["input"][0]["name"] == 'a "name"'


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("models.config", text_proto.text({"model_config_lists": {"config": {}}})),
        ("config.pbtxt", text_proto.text({"max_batch_size": "32"})),
        ("batching.config", text_proto.text({"max_batch_size": 32})),
        ("monitoring.config", text_proto.text({"prometheus": {"enable": True}})),
    ],
)
def test_a_wrong_file_would_be_seen(parse: Parse, file: str, text: str) -> None:
    assert "error" in parse({file: text})[file]
