"""A SavedModel in the lab, from its export to its answers through the gateway.

It is exported and described in the image that serves it. This image has 1.3 GB and is
built on demand, so the tests run if `SLIPWAY_TENSORFLOW` is set.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from examples.demo_rollout.lab_stack import SMALL
from slipway import images
from slipway.images.builds import OF_THE_LAB, built
from tests.cluster.conftest import Cluster
from tests.support import pushed_folders
from tests.support.kube import wait_until
from tests.support.own_stack import OwnStack
from tests.support.tensorflow_venv import WANTED
from toolchain import paths

IMAGE = "model-server-tensorflow"
pytestmark = [
    pytest.mark.optional,
    pytest.mark.skipif(
        WANTED not in os.environ,
        reason=f"{WANTED}=1 builds the image {IMAGE} (1.3 GB) and runs it",
    ),
]
STACK, SERVER, MODEL, PREFIX = "models.savedmodel", "saved", "scores", "/saved/v1"
MAKE = paths.ROOT / "tests/support/saved_models_run.py"
IN_THE_IMAGE = """set -e
folder=$(mktemp -d)
python3 -c "$1" "$folder" >&2
cd "$folder"/scores
python3 -m model_server.describe . --name scores > "$folder"/model.yaml
mv "$folder"/model.yaml .
tar -c .
"""
ROWS = [[1.0, 2.0, 3.0], [0.0, 0.5, -1.0]]
SCORES, LABELS = [[2.0, 5.5], [0.25, -1.875]], [1, 0]
METRICS_SECONDS = 60


def model_image(folder: Path) -> str:
    """Export the model, push its image, and return the cluster's reference to it."""
    script = ["sh", "-c", IN_THE_IMAGE, "sh", MAKE.read_text()]
    OF_THE_LAB.builder.output(built(IMAGE).id, script, folder / "model.tar")
    with tarfile.open(folder / "model.tar") as archive:
        archive.extractall(folder / "model", filter="data")
    return pushed_folders.push("saved-model", folder / "model")


@pytest.fixture(scope="module")
def url(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    images.push(names=[IMAGE])
    model = {
        **SMALL,
        "model": MODEL,
        "model_image": model_image(tmp_path_factory.mktemp("image")),
        "image": IMAGE,
        "runtime": {"kind": "savedmodel"},
        "route": {"prefix": PREFIX},
        "resources": {
            "cpu_request_millicores": 100,
            "cpu_limit_millicores": 1000,
            "memory_request_mib": 768,
            "memory_limit_mib": 1024,
        },
        "lifecycle": {"startup_seconds": 120},
    }
    stack = OwnStack(STACK, tmp_path_factory.mktemp("saved"))
    try:
        stack.up(models={SERVER: model})
        yield cluster.urls["gateway"] + PREFIX
    finally:
        stack.down()


def test_a_client_of_tensorflow_serving(url: str) -> None:
    """Rows and columns, as TensorFlow Serving's REST API has them."""
    predict = f"{url}/v1/models/{MODEL}:predict"
    rows = httpx.post(predict, json={"instances": ROWS}, timeout=20)
    assert rows.status_code == 200, rows.text
    assert rows.json() == {
        "predictions": [
            {"label": label, "score": score}
            for label, score in zip(LABELS, SCORES, strict=True)
        ]
    }
    columns = httpx.post(predict, json={"inputs": {"x": ROWS}}, timeout=20)
    assert columns.json() == {"outputs": {"label": LABELS, "score": SCORES}}
    state = httpx.get(f"{url}/v1/models/{MODEL}", timeout=20).json()
    assert [it["state"] for it in state["model_version_status"]] == ["AVAILABLE"]


def test_a_client_of_the_open_inference_protocol(url: str) -> None:
    entry = {"name": "x", "datatype": "FP32", "shape": [2, 3], "data": ROWS}
    answer = httpx.post(f"{url}/infer", json={"inputs": [entry]}, timeout=20)
    assert answer.status_code == 200, answer.text
    outputs = {it["name"]: it["data"] for it in answer.json()["outputs"]}
    flat = [value for row in SCORES for value in row]
    assert outputs == {"label": LABELS, "score": flat}


def test_its_metrics_have_its_runtime(cluster: Cluster, url: str) -> None:
    def runtime() -> str:
        httpx.post(f"{url}/infer", content=b"{}", timeout=20)
        answer = httpx.get(
            cluster.urls["prometheus"] + "/api/v1/query",
            params={"query": f'model:requests:rate{{server="{SERVER}"}} > 0'},
            timeout=10,
        )
        found = answer.json()["data"]["result"]
        return str(found[0]["metric"]["runtime"]) if found else ""

    found = wait_until(runtime, METRICS_SECONDS, "metrics of the server", pause=5)
    assert found == "tensorflow"


def test_what_is_not_public_stays_inside(url: str) -> None:
    for path in ("/metrics", "/healthz", "/readyz"):
        assert httpx.get(url + path, timeout=20).status_code == 404
