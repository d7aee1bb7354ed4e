"""gRPC through the lab's gateway by NVIDIA's client: ways, keys, revisions, rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import httpx
import numpy as np
import pytest

from components.platform import own_ca
from examples.demo_rollout.lab_stack import SMALL
from slipway import images
from slipway.cluster.kube_api import KubeApi
from slipway.keys import Keys
from tests.cluster.conftest import Cluster
from tests.support.kube import wait_until
from tests.support.own_stack import OwnStack
from tests.support.triton_client import Triton, TritonError

MODEL, SERVER, SECRET = "employment", "called", "called-keys"
RATE, BODY_KIB = 40, 16
ARGS: dict[str, Any] = SMALL | {
    "model": MODEL,
    "runtime": {"kind": "onnx", "grpc": True},
    "grpc_route": True,
    "access": {
        "api_keys": {"secret": SECRET},
        "rate_per_client": {"requests": RATE, "per": "hour"},
        "max_body_kib": BODY_KIB,
    },
    "revisions": {
        "champion": {"model_image": MODEL, "weight": 100},
        "challenger": {"model_image": MODEL, "weight": 0},
    },
}


def address(cluster: Cluster, name: str) -> str:
    url = httpx.URL(cluster.urls[name])
    return f"{url.host}:{url.port}"


@pytest.fixture(scope="module")
def keys(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Keys by client, of a server that is public by gRPC alone."""
    stack = OwnStack("models.grpc", tmp_path_factory.mktemp("grpc") / "checkout")
    with KubeApi.of_kubeconfig(cluster.kube.kubeconfig.read_text()) as api:
        secret = Keys(api, "models", SECRET)
        found = {name: token_hex(16) for name in ("calm", "hasty", "waiting")}
        try:
            # Before the route, which answers nobody without it.
            for name, key in found.items():
                secret.add(name, key)
            stack.up(models={SERVER: ARGS})
            yield found
        finally:
            stack.down()
            api.delete(f"/api/v1/namespaces/models/secrets/{SECRET}")


@pytest.fixture(scope="module")
def triton(cluster: Cluster, keys: dict[str, str]) -> Iterator[Triton]:
    with Triton("grpc", address(cluster, "gateway")) as client:
        headers = {"x-model": SERVER, "x-api-key": keys["waiting"]}

        def answers() -> bool:
            return status(client, headers) == "OK"

        wait_until(answers, 20, "the route", pause=0.3)
        yield client


def ready(client: Triton, headers: dict[str, str]) -> Any:
    return client.ask("is_model_ready", model_name=MODEL, headers=headers)


def status(client: Triton, headers: dict[str, str]) -> str:
    try:
        ready(client, headers)
    except TritonError as error:
        return error.status.removeprefix("StatusCode.")
    return "OK"


def infer(client: Triton, rows: Any, headers: dict[str, str]) -> dict[str, Any]:
    tensor = {
        "name": "input",
        "datatype": "FP32",
        "dtype": "<f4",
        "data": np.asarray(rows, np.float32).tolist(),
    }
    found: dict[str, Any] = client.ask(
        "infer", model=MODEL, inputs=[tensor], outputs=["probability"], headers=headers
    )
    return found


@pytest.mark.parametrize("listener", ["gateway", "gateway-tls"])
def test_real_rows_equal_scikit_learn(
    cluster: Cluster, triton: Triton, keys: dict[str, str], listener: str
) -> None:
    rows, expected = images.real_rows(MODEL, 64)
    authority = str(own_ca.authority_file("platform.lab"))
    tls = authority if listener == "gateway-tls" else ""
    headers = {"x-model": SERVER, "x-api-key": keys["calm"]}
    with Triton("grpc", address(cluster, listener), tls) as client:
        answer = infer(client, rows, headers)
    found = np.array(answer["outputs"]["probability"]["data"]).reshape(expected.shape)
    assert np.abs(found - expected).max() < 1e-6


def test_only_who_has_a_key_and_names_a_model_comes_in(
    triton: Triton, keys: dict[str, str]
) -> None:
    good = {"x-model": SERVER, "x-api-key": keys["calm"]}
    assert status(triton, good) == "OK", "the control"
    assert status(triton, {"x-model": SERVER}) == "UNAUTHENTICATED"
    wrong = good | {"x-api-key": "no-such-key"}
    assert status(triton, wrong) == "UNAUTHENTICATED"
    assert status(triton, good | {"x-model": "nosuch"}) == "UNIMPLEMENTED"
    assert status(triton, {"x-api-key": keys["calm"]}) == "UNIMPLEMENTED"


def test_the_header_chooses_the_revision(triton: Triton, keys: dict[str, str]) -> None:
    headers = {"x-model": SERVER, "x-api-key": keys["calm"]}
    rows = images.real_rows(MODEL, 1)[0]
    for revision in ("champion", "challenger"):
        chosen = headers | {"x-model-revision": revision}
        assert infer(triton, rows, chosen)["outputs"]
    with pytest.raises(TritonError, match="there is challenger, champion"):
        infer(triton, rows, headers | {"x-model-revision": "nosuch"})


def test_bodies_and_rates_are_bounded_and_clients_distinguished(
    triton: Triton, keys: dict[str, str]
) -> None:
    hasty = {"x-model": SERVER, "x-api-key": keys["hasty"]}
    wide = np.zeros((BODY_KIB * 1024, 4))
    with pytest.raises(TritonError, match="UNKNOWN: Payload Too Large"):
        infer(triton, wide, hasty)
    seen = Counter(status(triton, hasty) for _ in range(RATE + 5))
    # Each method counts by itself: what was too large is not among these.
    assert seen == {"OK": RATE, "UNAVAILABLE": 5}
    calm = {"x-model": SERVER, "x-api-key": keys["calm"]}
    assert status(triton, calm) == "OK"
