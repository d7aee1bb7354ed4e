"""Revisions by header and by weight, API versions by path, on the real gateway."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from examples.demo_rollout.callers import REVISION, Callers
from examples.demo_rollout.lab_stack import SMALL
from slipway import images
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.kube import wait_until
from tests.support.versioned import MODEL, NEW, OLD, SERVER, Versioned

pytestmark = pytest.mark.calm
WEIGHTS = {"champion": 70, "challenger": 30}
LATER = {"champion": 20, "challenger": 80}
REQUESTS = 10_000
SIGMAS = 3
SETTINGS: dict[str, Any] = {
    "routes": [
        {
            "prefix": OLD,
            "deprecated": "2026-01-01",
            "sunset": "2099-12-31",
            "successor": NEW,
        },
        {"prefix": NEW},
    ],
    **SMALL,
}
TOLD = {
    "deprecation": "@1767225600",
    "sunset": "Thu, 31 Dec 2099 00:00:00 GMT",
    "link": f'<{NEW}>; rel="successor-version"',
}


def say(text: str) -> None:
    print(f"\n  {text}", end="", flush=True)


@pytest.fixture(scope="module")
def gateway(cluster: Cluster) -> str:
    return cluster.urls["gateway"]


@pytest.fixture(scope="module")
def body() -> bytes:
    return oip.request(images.real_rows(MODEL, 1)[0])


@pytest.fixture(scope="module")
def versioned(
    cluster: Cluster,
    gateway: str,
    body: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Versioned]:
    """Brought up as one server without revisions, then moved to them."""
    found = Versioned(tmp_path_factory.mktemp("versioned"), SETTINGS)
    try:
        found.up({})
        url = f"{gateway}{NEW}/v2"
        wait_until(
            lambda: httpx.get(url).status_code == 200, 30, "the route", pause=0.2
        )
        with Callers(f"{gateway}{NEW}/infer", body, most=100_000) as found.moving:
            found.up(WEIGHTS)
            time.sleep(3)
        yield found
    finally:
        found.down()


def ask(gateway: str, path: str, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{gateway}{path}",
        content=body,
        headers={"content-type": "application/json", **headers},
        timeout=20,
    )


def test_a_server_moves_to_revisions_and_fails_no_request(versioned: Versioned) -> None:
    moving = versioned.moving
    assert moving is not None
    say(f"moved to revisions: answers {dict(moving.answers)}")
    assert moving.failures == {}
    # By the one server, then by the revisions.
    assert set(WEIGHTS) < set(moving.answers)


def test_the_header_chooses_the_revision(
    versioned: Versioned, gateway: str, body: bytes
) -> None:
    for prefix in (OLD, NEW):
        for name in WEIGHTS:
            for _ in range(10):
                answer = ask(gateway, f"{prefix}/infer", body, **{REVISION: name})
                assert answer.status_code == 200, answer.text
                assert answer.headers[REVISION] == name
        deep = ask(
            gateway, f"{prefix}/v2/models/{MODEL}/infer", body, **{REVISION: "champion"}
        )
        assert deep.json()["model_name"] == MODEL


@pytest.mark.parametrize("name", ["chalenger", "", "Champion", "champion,challenger"])
def test_an_unknown_revision_is_given_the_known_ones(
    versioned: Versioned, gateway: str, body: bytes, name: str
) -> None:
    for path in (f"{OLD}/infer", f"{NEW}/v2/models/{MODEL}", f"{NEW}/openapi.json"):
        answer = ask(gateway, path, body, **{REVISION: name})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/json"
        told = answer.json()
        assert told["code"] == "unknown_revision"
        assert told["known"] == sorted(WEIGHTS)


def test_an_unknown_api_version_is_given_the_known_ones(
    versioned: Versioned, gateway: str, body: bytes
) -> None:
    for path in ("/versions/v3/infer", "/versions/v11/infer", "/versions"):
        answer = ask(gateway, path, body)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/json"
        told = answer.json()
        assert told["code"] == "unknown_api_version"
        assert told["known"] == [OLD, NEW]


def test_unknown_paths_get_404_with_the_public_ones(
    versioned: Versioned, gateway: str
) -> None:
    for path in ("/metrics", "/readyz", "", "/inferno"):
        answer = httpx.get(f"{gateway}{NEW}{path}", timeout=20)
        assert answer.status_code == 404
        told = answer.json()
        assert told["code"] == "not_found"
        assert f"{NEW}/infer" in told["known"]


def test_the_end_of_an_api_version_is_reported_in_each_answer(
    versioned: Versioned, gateway: str, body: bytes
) -> None:
    old, new = (ask(gateway, f"{prefix}/infer", body) for prefix in (OLD, NEW))
    assert old.status_code == new.status_code == 200
    assert {name: old.headers.get(name) for name in TOLD} == TOLD
    assert not set(TOLD) & set(new.headers)
    bad = ask(gateway, f"{OLD}/infer", b"{}")
    assert bad.status_code == 400
    assert bad.headers["sunset"] == TOLD["sunset"]


def test_each_api_version_has_its_openapi_document(
    versioned: Versioned, gateway: str
) -> None:
    for prefix in (OLD, NEW):
        answer = httpx.get(f"{gateway}{prefix}/openapi.json", timeout=20)
        assert answer.status_code == 200, answer.text
        document = answer.json()
        assert document["openapi"].startswith("3.1")
        assert f"/v2/models/{MODEL}/infer" in document["paths"]
    of_model = httpx.get(f"{gateway}{NEW}/v2/models/{MODEL}/openapi.json", timeout=20)
    assert of_model.status_code == 200, of_model.text


def shares(gateway: str, body: bytes, weights: dict[str, int], requests: int) -> None:
    start = time.monotonic()
    with Callers(f"{gateway}{NEW}/infer", body, most=requests) as callers:
        callers.wait()
    took = time.monotonic() - start
    say(f"{requests} requests in {took:.0f} s: {dict(callers.answers)}")
    assert callers.failures == {}
    assert callers.answers.total() == requests
    for name, weight in weights.items():
        share = weight / 100
        sigma = math.sqrt(requests * share * (1 - share))
        assert abs(callers.answers[name] - requests * share) <= SIGMAS * sigma


def test_weights_share_the_requests_out(
    versioned: Versioned, gateway: str, body: bytes
) -> None:
    shares(gateway, body, WEIGHTS, REQUESTS)


def pods(cluster: Cluster) -> set[str]:
    selector = f"app.kubernetes.io/instance={SERVER}"
    return {pod["metadata"]["uid"] for pod in cluster.kube.ready_pods(selector)}


def test_other_weights_change_the_route_alone_and_fail_no_request(
    versioned: Versioned, cluster: Cluster, gateway: str, body: bytes
) -> None:
    before = pods(cluster)
    with Callers(f"{gateway}{NEW}/infer", body, most=200_000, callers=2) as callers:
        changes = versioned.up(LATER).changes
        time.sleep(2)
    say(f"while weights changed: {dict(callers.answers)}, failed {callers.failures}")
    assert callers.failures == {}
    assert callers.answers.total() > 500
    assert changes.get("update") == 1, changes
    assert {kind for kind, number in changes.items() if number} == {"same", "update"}
    assert pods(cluster) == before
    shares(gateway, body, LATER, REQUESTS // 5)


def test_a_revision_goes_and_fails_no_request(
    versioned: Versioned, cluster: Cluster, gateway: str, body: bytes
) -> None:
    """The route stops naming it first: then its pods and its Service may go."""
    with Callers(f"{gateway}{NEW}/infer", body, most=200_000, callers=2) as callers:
        changes = versioned.up({"champion": 100}).changes
        time.sleep(2)
    say(f"while a revision went: {dict(callers.answers)}, failed {callers.failures}")
    assert callers.failures == {}
    assert set(callers.answers) == set(WEIGHTS)
    assert changes.get("delete"), changes
    services = cluster.kube.run("get", "services", "-n", "models", "-o", "name").stdout
    assert f"service/{SERVER}-champion\n" in services
    assert "challenger" not in services
