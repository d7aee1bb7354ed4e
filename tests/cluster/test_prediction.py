"""What a caller gets through the gateway, against scikit-learn on real census rows."""

from __future__ import annotations

import json
import uuid

import httpx
import numpy as np
import pytest

from slipway import images
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.kube import wait_until

TOLERANCE = 1e-6


def test_a_thousand_real_rows_equal_scikit_learn(cluster: Cluster) -> None:
    rows, expected = images.real_rows("employment", 1000)
    got = []
    for part in np.array_split(rows, 10):
        response = httpx.post(cluster.infer, content=oip.request(part), timeout=20)
        assert response.status_code == 200, response.text
        got.append(oip.output(response.json(), "probability"))
    difference = np.abs(np.concatenate(got) - expected).max()
    assert expected.shape == (1000, 2)
    assert difference <= TOLERANCE, difference


def test_the_answer_names_request_version_and_revision(cluster: Cluster) -> None:
    rows, _ = images.real_rows("employment", 1)
    response = httpx.post(
        cluster.infer,
        content=oip.request(rows),
        headers={"x-request-id": "cluster-test-1"},
        timeout=20,
    )
    answer = response.json()
    assert response.headers["x-request-id"] == "cluster-test-1"
    assert answer["model_name"] == "employment"
    assert answer["model_version"] == response.headers["x-model-version"]
    assert len(response.headers["x-model-revision"]) >= 12


@pytest.mark.parametrize(
    "identity",
    ["01912345-6789-7abc-8def-0123456789ab", "a-name-of-36-characters-is-no-uuid-x"],
)
def test_an_id_as_long_as_a_uuid_stays_as_it_is(
    cluster: Cluster, identity: str
) -> None:
    assert len(identity) == 36
    rows, _ = images.real_rows("employment", 1)
    response = httpx.post(
        cluster.infer,
        content=oip.request(rows),
        headers={"x-request-id": identity},
        timeout=20,
    )
    assert response.headers["x-request-id"] == identity


def test_a_request_without_an_id_gets_one_of_its_own(cluster: Cluster) -> None:
    rows, _ = images.real_rows("employment", 1)
    found = {
        httpx.post(cluster.infer, content=oip.request(rows), timeout=20).headers[
            "x-request-id"
        ]
        for _ in range(3)
    }
    assert len(found) == 3
    assert all(uuid.UUID(one).version == 4 for one in found)


def test_a_caller_mistake_is_reported_clearly(cluster: Cluster) -> None:
    body = {"inputs": [{"name": "nope", "datatype": "FP32", "shape": [1], "data": [1]}]}
    response = httpx.post(cluster.infer, json=body, timeout=20)
    assert response.status_code == 400
    assert "nope" in response.json()["error"]
    unknown = httpx.post(
        cluster.infer.replace("/infer", "/v2/models/none/infer"), json=body, timeout=20
    )
    assert unknown.status_code == 404
    assert "none" in unknown.json()["error"]


def logged(cluster: Cluster, selector: str) -> list[str]:
    """Lines of the prediction log that the ready pods of a selector still have."""
    # Base images have no shell: python, which runs the server, reads the files.
    script = (
        "import pathlib\n"
        "folder = pathlib.Path('/var/log/predictions')\n"
        "for file in folder.glob('predictions-*.jsonl*'):\n"
        "  print(file.read_text(), end='')"
    )
    found: list[str] = []
    for pod in cluster.kube.ready_pods(selector):
        name = pod["metadata"]["name"]
        said = cluster.kube.run(
            "exec", "-n", "models", name, "--", "python3", "-c", script
        )
        found += said.stdout.splitlines()
    return found


def test_each_prediction_is_logged_once(cluster: Cluster) -> None:
    rows, _ = images.real_rows("employment", 1)
    identity = "cluster-test-log-7"
    httpx.post(
        cluster.infer,
        content=oip.request(rows),
        headers={"x-request-id": identity},
        timeout=20,
    ).raise_for_status()

    def records() -> list[str]:
        found = logged(cluster, "app.kubernetes.io/instance=employment")
        return [line for line in found if identity in line]

    lines = wait_until(records, 15, f"a prediction record of {identity}")
    assert len(lines) == 1
    assert json.loads(lines[0])["model"] == "employment"
