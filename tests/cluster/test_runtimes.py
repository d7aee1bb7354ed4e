"""One model by four kinds of servers at once: same answers, separate metrics."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from slipway import images
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.kube import wait_until

SERVERS = {
    "employment": "onnxruntime",
    "employment-fastapi": "fastapi",
    "employment-flask": "flask",
    "employment-django": "django",
}
"""Servers by what they say of themselves (label `runtime`)."""
APPLICATIONS = [name for name in SERVERS if name != "employment"]
TOLERANCE = 1e-6
FIGURES_SECONDS = 60
"""A rate needs two scrapes; the rest is what a busy machine may take."""


def url(cluster: Cluster, server: str, path: str) -> str:
    return f"{cluster.urls['gateway']}/{server}/v1{path}"


@pytest.mark.parametrize("server", SERVERS)
def test_it_answers_as_scikit_learn_does(cluster: Cluster, server: str) -> None:
    rows, expected = images.real_rows("employment", 300)
    got = []
    for part in np.array_split(rows, 6):
        address = url(cluster, server, "/infer")
        response = httpx.post(address, content=oip.request(part), timeout=20)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer["model_name"] == "employment"
        got.append(oip.output(answer, "probability"))
    difference = np.abs(np.concatenate(got) - expected).max()
    assert difference <= TOLERANCE, difference


@pytest.mark.parametrize("server", APPLICATIONS)
def test_an_application_keeps_its_own_route(cluster: Cluster, server: str) -> None:
    rows, expected = images.real_rows("employment", 5)
    manifest = yaml.safe_load(
        (images.model_folder("employment") / "model.yaml").read_text()
    )
    for row, wanted in zip(rows, expected, strict=True):
        named = {n: int(x) for n, x in zip(manifest["features"], row, strict=True)}
        response = httpx.post(url(cluster, server, "/score"), json=named, timeout=20)
        assert response.status_code == 200, response.text
        said = response.json()
        assert abs(said["probability"] - wanted[1]) <= TOLERANCE
        assert said["employed"] is bool(wanted[1] > 0.5)


@pytest.mark.parametrize("server", SERVERS)
def test_what_is_not_public_stays_inside(cluster: Cluster, server: str) -> None:
    for path in ("/metrics", "/healthz", "/readyz"):
        assert httpx.get(url(cluster, server, path), timeout=20).status_code == 404


def test_each_server_has_its_own_figures(cluster: Cluster) -> None:
    def figures() -> dict[str, dict[str, Any]]:
        answer = httpx.get(
            cluster.urls["prometheus"] + "/api/v1/query",
            params={"query": 'model:requests:rate{model="employment"} > 0'},
            timeout=10,
        )
        found = answer.json()["data"]["result"]
        return {one["metric"]["server"]: one["metric"] for one in found}

    def all_there() -> dict[str, dict[str, Any]] | None:
        row = oip.request(images.real_rows("employment", 1)[0])
        for server in SERVERS:
            httpx.post(url(cluster, server, "/infer"), content=row, timeout=20)
        found = figures()
        return found if set(found) == set(SERVERS) else None

    found = wait_until(all_there, FIGURES_SECONDS, "figures of all servers")
    for server, labels in found.items():
        assert labels["runtime"] == SERVERS[server]
        assert labels["namespace"] == "models"
        assert labels["arm"] == "stable"
    # They serve the same model: what tells them apart is the server alone.
    assert len({labels["revision"] for labels in found.values()}) == 1
