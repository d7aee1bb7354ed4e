"""What the waker sends to the API server, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.serving.routes import waker as component
from pod_parts.api_client_async import AsyncApi
from pod_parts.api_server import ApiError
from toolchain import paths

sys.path.insert(0, str(paths.ROOT / "images" / "waker"))

from waker import settings
from waker.cluster import Cluster, Found
from waker.keeper import SILENT_SECONDS, Keeper
from waker.kept import Kept
from waker.settings import Model, Pod

NAMESPACE = "models"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
SERVICE = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
POD = Pod(NAMESPACE, "waker-0", "u-1", "10.0.0.9", "w1")
MODEL = Model(
    name="m",
    port=20000,
    port_name="http",
    pod_port=8080,
    metrics_port=8080,
    metrics_path="/metrics",
    replicas=3,
    after_seconds=60,
    wake_seconds=5,
    buffer_requests=2,
    buffer_bytes=100,
)
PATCHES = {
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
}


class Api:
    """The API server, as strict as the real one is with what the waker sends."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.calls: list[str] = []
        self.tokens: set[str] = set()
        self.fails = False
        self.forbidden: set[str] = set()
        """Deployments that the waker may not scale."""

    def deployment(self, name: str, replicas: int, **metadata: Any) -> None:
        self.objects[f"{DEPLOYMENTS}/{name}"] = {
            "metadata": {"name": name, **metadata},
            "spec": {"replicas": replicas},
        }

    def endpoints(
        self, name: str, service: str, manager: str, *endpoints: dict[str, Any]
    ) -> None:
        labels = {SERVICE: service, MANAGED_BY: manager}
        self.objects[f"{SLICES}/{name}"] = {
            "metadata": {"name": name, "labels": labels},
            "endpoints": list(endpoints) or None,
        }

    def replicas(self, name: str) -> int:
        return int(self.objects[f"{DEPLOYMENTS}/{name}"]["spec"]["replicas"])

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.calls.append(f"{request.method} {path}")
        self.tokens.add(request.headers.get("authorization", ""))
        if self.fails:
            return httpx.Response(500, text="etcd is away")
        answer: Callable[[str, httpx.Request], httpx.Response]
        answer = getattr(self, f"_{request.method.lower()}")
        return answer(path, request)

    def _get(self, path: str, _: httpx.Request) -> httpx.Response:
        if path in (DEPLOYMENTS, SLICES):
            items = [o for p, o in self.objects.items() if p.startswith(f"{path}/")]
            return httpx.Response(200, json={"items": items})
        if path in self.objects:
            return httpx.Response(200, json=self.objects[path])
        return httpx.Response(404, json={"kind": "Status"})

    def _patch(self, path: str, request: httpx.Request) -> httpx.Response:
        if request.headers["content-type"] not in PATCHES:
            return httpx.Response(415, text="the body of the request was in an unknown")
        found = self.objects.get(path.removesuffix("/scale"))
        if found and found["metadata"]["name"] in self.forbidden:
            return httpx.Response(403, text="forbidden")
        if found is None:
            return httpx.Response(404, json={"kind": "Status"})
        for key, value in json.loads(request.content).items():
            found[key] = {**found[key], **value} if isinstance(value, dict) else value
        return httpx.Response(200, json=found)

    def _post(self, path: str, request: httpx.Request) -> httpx.Response:
        if request.headers["content-type"] != "application/json" or path != SLICES:
            return httpx.Response(415, text="unknown")
        made = json.loads(request.content)
        self.objects[f"{path}/{made['metadata']['name']}"] = made
        return httpx.Response(201, json=made)

    def _delete(self, path: str, _: httpx.Request) -> httpx.Response:
        found = self.objects.pop(path, None)
        return httpx.Response(200 if found else 404, json={"kind": "Status"})


def run(
    tmp_path: Path, work: Callable[[Api, Cluster], Awaitable[None]], pod: Pod = POD
) -> Api:
    """Runs the work with a cluster whose API server is ours."""
    (tmp_path / "token").write_text("first\n")
    api = Api()

    async def whole() -> None:
        transport = httpx.MockTransport(api)
        cluster = Cluster(AsyncApi("http://api", "a", tmp_path, transport), pod)
        await work(api, cluster)
        await cluster.close()

    asyncio.run(whole())
    return api


def test_a_model_is_scaled_by_a_patch_that_the_api_server_takes(tmp_path: Path) -> None:
    async def work(api: Api, cluster: Cluster) -> None:
        api.deployment("m", 2)
        await cluster.scale("m", 0)
        assert api.replicas("m") == 0
        assert api.calls == [f"PATCH {DEPLOYMENTS}/m/scale"]

    run(tmp_path, work)


def test_the_token_is_read_each_time(tmp_path: Path) -> None:
    async def work(api: Api, cluster: Cluster) -> None:
        api.deployment("m", 2)
        await cluster.scale("m", 0)
        (tmp_path / "token").write_text("second")
        await cluster.scale("m", 1)
        assert api.tokens == {"Bearer first", "Bearer second"}

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("address", "kind"), [("10.0.0.9", "IPv4"), ("fd00::9", "IPv6")]
)
def test_a_cover_is_made_once_renewed_and_taken_away(
    tmp_path: Path, address: str, kind: str
) -> None:
    async def work(api: Api, cluster: Cluster) -> None:
        await cluster.cover(MODEL)
        await cluster.cover(MODEL)
        place = f"{SLICES}/m-waker-0"
        assert api.calls == [f"PATCH {place}", f"POST {SLICES}", f"PATCH {place}"]
        owner = {"kind": "Pod", "name": "waker-0", "uid": "u-1"}
        assert api.objects[place] == {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "m-waker-0",
                "namespace": "models",
                "labels": {SERVICE: "m", MANAGED_BY: "waker.slipway.dev"},
                "ownerReferences": [{"apiVersion": "v1", **owner}],
            },
            "addressType": kind,
            "ports": [{"name": "http", "port": 20000, "protocol": "TCP"}],
            "endpoints": [
                {
                    "addresses": [address],
                    "conditions": {
                        "ready": True,
                        "serving": True,
                        "terminating": False,
                    },
                    "nodeName": "w1",
                    "targetRef": {**owner, "namespace": "models"},
                }
            ],
        }
        await cluster.uncover("m")
        await cluster.uncover("m")
        assert api.objects == {}

    run(tmp_path, work, replace(POD, address=address))


def test_what_is_seen_of_models(tmp_path: Path) -> None:
    async def work(api: Api, cluster: Cluster) -> None:
        api.deployment("m", 2)
        api.deployment("other", 0)
        api.deployment("left", 0)
        controller = "endpointslice-controller.k8s.io"
        ready = {"addresses": ["10.1.0.1"], "conditions": {"ready": True}}
        starting = {"addresses": ["10.1.0.2"], "conditions": {"ready": False}}
        api.endpoints("m-x", "m", controller, ready, starting, {"addresses": ["::1"]})
        api.endpoints("m-y", "m", controller)
        covers = {"addresses": [POD.address], "conditions": {"ready": True}}
        # Another waker's cover is not one of this one's.
        api.endpoints("m-waker-1", "m", "waker.slipway.dev", covers)
        api.endpoints("left-waker-1", "left", "waker.slipway.dev", covers)
        api.endpoints("other-x", "other", controller)
        found, orphans = await cluster.look(["m", "missing"])
        assert found["m"] == Found(2, {"10.1.0.1", "::1"}, covered=False)
        assert found["missing"] == Found()
        assert orphans == {"left"}
        await cluster.cover(MODEL)
        found, _ = await cluster.look(["m"])
        assert found["m"].covered

    run(tmp_path, work)


def test_whether_a_deployment_is_gone(tmp_path: Path) -> None:
    async def work(api: Api, cluster: Cluster) -> None:
        api.deployment("m", 1)
        api.deployment("going", 1, deletionTimestamp="2026-11-29T00:00:00Z")
        answers = [await cluster.is_gone(name) for name in ("m", "going", "none")]
        assert answers == [False, True, True]
        api.fails = True
        assert await cluster.is_gone("m") is False

    run(tmp_path, work)


def test_a_refusal_names_the_request_and_the_answer(tmp_path: Path) -> None:
    async def work(api: Api, cluster: Cluster) -> None:
        api.fails = True
        with pytest.raises(ApiError) as error:
            await cluster.scale("m", 1)
        assert str(error.value) == f"PATCH {DEPLOYMENTS}/m/scale: 500 etcd is away"
        assert error.value.status == 500
        api.fails = False
        with pytest.raises(ApiError, match=r"GET /apis/none: 404"):
            await cluster._list("/apis/none")

    run(tmp_path, work)


def test_a_model_falls_asleep_and_wakes_by_the_rounds_of_the_keeper(
    tmp_path: Path,
) -> None:
    async def work(api: Api, cluster: Cluster) -> None:
        api.deployment("m", 2)
        ready = {"addresses": ["10.1.0.1"]}
        api.endpoints("m-x", "m", "endpointslice-controller.k8s.io", ready)
        keeper = Keeper(cluster, [MODEL], settle=0)
        (kept,) = keeper.kept.values()
        assert not keeper.is_ready  # nothing has been looked at
        keeper._calm_at = time.monotonic() + 60  # no pod is asked
        kept.idleness.idle = lambda _: True  # type: ignore[method-assign]
        await keeper.round()
        assert keeper.is_ready
        assert api.calls[-1] == f"POST {SLICES}"  # covered first
        await keeper.round()
        assert api.replicas("m") == 0
        del api.objects[f"{SLICES}/m-x"]
        held = kept.buffer.hold(time.monotonic(), 1)
        await keeper.round()
        assert api.replicas("m") == MODEL.replicas
        api.endpoints("m-x", "m", "endpointslice-controller.k8s.io", ready)
        await keeper.round()
        assert kept.counts["wakes"] == 1
        assert kept.wake_seconds > 0
        assert f"{SLICES}/m-waker-0" not in api.objects  # uncovered
        kept.buffer.release(held)
        keeper.looked_at -= SILENT_SECONDS
        assert not keeper.is_ready
        await keeper.close()

    run(tmp_path, work)


def test_an_orphan_that_may_not_be_woken_holds_up_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sleeping model is removed: the right to scale it goes before it does."""

    async def work(api: Api, cluster: Cluster) -> None:
        api.deployment("m", 1)
        api.deployment("left", 0)
        api.endpoints("left-waker-1", "left", "waker.slipway.dev")
        api.forbidden = {"left"}
        keeper = Keeper(cluster, [MODEL])
        keeper._calm_at = time.monotonic() + 60  # no pod is asked
        await keeper.round()
        await keeper.round()
        assert (keeper.rounds, keeper.errors, keeper.is_ready) == (2, 0, True)
        assert capsys.readouterr().out.count("not woken") == 1
        api.forbidden = set()
        await keeper.round()
        assert api.replicas("left") == 1
        await keeper.close()

    run(tmp_path, work)


def test_a_keeper_goes_on_after_errors_and_counts_them(tmp_path: Path) -> None:
    async def work(api: Api, cluster: Cluster) -> None:
        keeper = Keeper(cluster, [MODEL])
        api.fails = True
        await keeper.round()
        await keeper.round()
        assert (keeper.errors, keeper.rounds) == (2, 0)
        assert not keeper.is_ready
        api.fails = False
        await keeper.round()
        assert (keeper.errors, keeper.rounds) == (2, 1)
        await keeper.close()

    run(tmp_path, work)


@pytest.mark.parametrize(("orphaned", "replicas"), [(True, 3), (False, 0)])
def test_a_waker_that_leaves_uncovers_and_the_last_one_wakes(
    tmp_path: Path, orphaned: bool, replicas: int
) -> None:
    async def work(api: Api, cluster: Cluster) -> None:
        api.deployment("m", 0)
        keeper = Keeper(cluster, [MODEL])
        await keeper.round()
        assert f"{SLICES}/m-waker-0" in api.objects
        await keeper.leave(orphaned)
        assert f"{SLICES}/m-waker-0" not in api.objects
        assert api.replicas("m") == replicas
        assert keeper.is_ready  # so long as requests are held
        await keeper.close()

    run(tmp_path, work)


def test_a_model_that_may_sleep_no_more_is_woken(tmp_path: Path) -> None:
    async def work(api: Api, cluster: Cluster) -> None:
        api.deployment("left", 0)
        covers = {"addresses": ["10.0.0.8"]}
        api.endpoints("left-waker-1", "left", "waker.slipway.dev", covers)
        keeper = Keeper(cluster, [])
        await keeper.round()
        assert api.replicas("left") == 1
        await keeper.close()

    run(tmp_path, work)


def test_what_a_model_was_seen_to_be() -> None:
    async def work() -> None:
        kept = Kept(MODEL)
        assert kept.seen(0) is None
        kept.see(Found(0, set(), covered=True), 10)
        kept.see(Found(0, set(), covered=True), 12)
        assert kept.covered_since == 10
        assert kept.asleep
        kept.woken(20)
        kept.see(Found(1, {"b", "a"}, covered=True), 23)
        kept.see(Found(1, {"b", "a"}, covered=False), 24)
        assert (kept.counts["wakes"], kept.wake_seconds) == (1, 3)
        kept.woken(30)
        kept.see(Found(2, {"b", "a"}, covered=False), 32)
        assert (kept.counts["wakes"], kept.wake_seconds) == (2, 5)
        assert kept.covered_since is None
        assert not kept.asleep
        taken = [await kept.address(time.monotonic() + 1) for _ in range(3)]
        assert taken == ["a", "b", "a"]
        seen = kept.seen(33)
        assert seen
        assert (seen.replicas, seen.ready, seen.waiting) == (2, 2, 0)
        assert not seen.idle

    asyncio.run(work())


def test_the_image_and_the_component_name_the_same_port() -> None:
    assert settings.METRICS_PORT == component.PORT
