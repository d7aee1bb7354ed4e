"""Nothing that happens to a pod or a node loses a request, and a control shows why.

Steady open-loop load through the gateway during each disruption, which is repeated
until 20,000 requests were sent. The control is the
same rolling update of a copy of the deployment whose drain settings are taken away: it
must lose requests, or the load is too weak to prove anything.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from slipway import images
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.disturbance import assert_none_lost, load, under
from tests.support.kube import Kube, wait_until

pytestmark = pytest.mark.calm
RATE = 500.0
"""Requests per second. At 0.3 ms of CPU each (docs/benchmarks.md), that is a sixth of
what the limits of two replicas allow: the load alone fails no request."""
SELECTOR = "app.kubernetes.io/instance=employment"
PROXIES = "app.kubernetes.io/name=envoy,app.kubernetes.io/component=proxy"
GATEWAY = "slipway-gateway"
NO_DRAIN = {"MODEL_SERVER_DEREGISTRATION_SECONDS", "MODEL_SERVER_DRAIN_SECONDS"}


@pytest.fixture(scope="module")
def body() -> bytes:
    return oip.request(images.real_rows("employment", 1)[0])


@pytest.fixture(autouse=True)
def settled(cluster: Cluster) -> None:
    """Two ready replicas before each disruption, wherever the last one left things."""
    cluster.kube.rollout("employment")
    two_ready(cluster)


def restart(kube: Kube, deployment: str, namespace: str = "models") -> None:
    kube.run("rollout", "restart", f"deployment/{deployment}", "-n", namespace)
    kube.rollout(deployment, namespace)


def names(pods: list[Any]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


def await_end(kube: Kube, pods: set[str], namespace: str = "models") -> None:
    """Waits until these pods have drained and are gone, so each was replaced."""
    wait_until(
        lambda: not pods & names(kube.get("pods", namespace=namespace)),
        120,
        f"the end of {', '.join(sorted(pods))}",
    )


def two_ready(cluster: Cluster) -> None:
    wait_until(
        lambda: len(cluster.kube.ready_pods(SELECTOR)) >= 2, 120, "two ready replicas"
    )


def test_rolling_updates_lose_no_request(cluster: Cluster, body: bytes) -> None:
    seen = names(cluster.kube.ready_pods(SELECTOR))

    def update() -> None:
        restart(cluster.kube, "employment")
        await_end(cluster.kube, seen)
        seen.update(names(cluster.kube.ready_pods(SELECTOR)))

    assert_none_lost(under(cluster.infer, body, update, RATE))


def test_deleting_pods_loses_no_request(cluster: Cluster, body: bytes) -> None:
    def delete() -> None:
        victim = cluster.kube.ready_pods(SELECTOR)[0]["metadata"]["name"]
        cluster.kube.run("delete", "pod", victim, "-n", "models", "--wait=true")
        two_ready(cluster)

    assert_none_lost(under(cluster.infer, body, delete, RATE))


def test_draining_a_node_loses_no_request(cluster: Cluster, body: bytes) -> None:
    def drain() -> None:
        try:
            cluster.kube.run(
                *("drain", "w1", "--ignore-daemonsets", "--delete-emptydir-data"),
                *("--timeout=180s", "--pod-selector", SELECTOR),
            )
            two_ready(cluster)
            pods = cluster.kube.ready_pods(SELECTOR)
            assert {pod["spec"]["nodeName"] for pod in pods} == {"cp1"}
        finally:
            cluster.kube.run("uncordon", "w1")
        restart(cluster.kube, "employment")  # back onto both

    assert_none_lost(under(cluster.infer, body, drain, RATE))


def test_restarting_the_gateway_loses_no_request(cluster: Cluster, body: bytes) -> None:
    def proxies() -> set[str]:
        return names(cluster.kube.ready_pods(PROXIES, GATEWAY))

    seen = proxies()

    def replace() -> None:
        restart(cluster.kube, "envoy", GATEWAY)
        await_end(cluster.kube, seen, GATEWAY)
        seen.update(proxies())

    assert_none_lost(under(cluster.infer, body, replace, RATE))


def _renamed(value: Any) -> Any:
    """The object with every name, label and route of `employment` made `control`."""
    text = json.dumps(value).replace("employment", "control")
    return json.loads(text)


@pytest.fixture
def control(cluster: Cluster) -> Iterator[str]:
    """A copy of deployment, service and route without drain; the copy's URL path."""
    kinds = ("serviceaccount", "deployment", "service", "networkpolicy", "httproute")
    objects = []
    for kind in kinds:
        original = cluster.kube.get(kind, "employment")
        renamed = _renamed(original)
        metadata = {k: renamed["metadata"][k] for k in ("name", "namespace", "labels")}
        renamed["metadata"] = metadata
        renamed.pop("status", None)
        for assigned in ("clusterIP", "clusterIPs"):
            renamed["spec"].pop(assigned, None) if "spec" in renamed else None
        if kind == "deployment":
            source = copy.deepcopy(original["spec"]["template"]["spec"])
            pod = renamed["spec"]["template"]["spec"]
            # The model itself keeps its name and place: only the wrapping is a copy.
            pod["volumes"] = source["volumes"]
            container = pod["containers"][0] = source["containers"][0]
            container.pop("lifecycle", None)
            for variable in container["env"]:
                if variable["name"] in NO_DRAIN:
                    variable["value"] = "0"
            pod["terminationGracePeriodSeconds"] = 0
            renamed["spec"]["replicas"] = 2
        objects.append(renamed)
    try:
        cluster.kube.apply(*objects)
        cluster.kube.rollout("control")
        yield "/control/v1/infer"
    finally:
        cluster.kube.delete(*objects)


def test_without_drain_settings_requests_are_lost(
    cluster: Cluster, body: bytes, control: str
) -> None:
    url = cluster.urls["gateway"] + control
    with load(url, body):
        time.sleep(2)  # the route's first answers; not counted
    with load(url, body) as run:
        time.sleep(2)
        for _ in range(5):
            restart(cluster.kube, "control")
            if run.report.failed:
                break
    assert run.report.failed, f"the control lost none of {run.report.sent} requests"
