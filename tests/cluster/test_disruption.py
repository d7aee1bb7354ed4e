"""Nothing that happens to a pod or a node loses a request, and a control shows why.

Steady open-loop load through the gateway during each disruption. The control is the
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
from tests.support.kube import Kube, wait_until
from tests.support.load import Load

RATE = 100.0
"""Requests per second: two replicas of the model on two shared cores."""
SELECTOR = "app.kubernetes.io/instance=employment"
NO_DRAIN = {"MODEL_SERVER_DEREGISTRATION_SECONDS", "MODEL_SERVER_DRAIN_SECONDS"}


@pytest.fixture(scope="module")
def body() -> bytes:
    return oip.request(images.real_rows("employment", 1)[0])


@pytest.fixture(autouse=True)
def settled(cluster: Cluster) -> None:
    """Two ready replicas before each disruption, wherever the last one left things."""
    cluster.kube.rollout("employment")
    wait_until(
        lambda: len(cluster.kube.ready_pods(SELECTOR)) >= 2, 120, "two ready replicas"
    )


def restart(kube: Kube, deployment: str) -> None:
    kube.run("rollout", "restart", f"deployment/{deployment}", "-n", "models")
    kube.rollout(deployment)


def assert_none_lost(load: Load, at_least: int) -> None:
    assert load.sent >= at_least, f"only {load.sent} requests were sent"
    assert load.failed == {}, f"of {load.sent} requests: {load.failed}"


def test_a_rolling_update_loses_no_request(cluster: Cluster, body: bytes) -> None:
    before = {p["metadata"]["name"] for p in cluster.kube.ready_pods(SELECTOR)}
    with Load(cluster.infer, body, RATE) as load:
        time.sleep(3)
        restart(cluster.kube, "employment")
        time.sleep(10)  # the old pods are still draining when the rollout is done
    after = {p["metadata"]["name"] for p in cluster.kube.ready_pods(SELECTOR)}
    assert not before & after, "no pod was replaced"
    assert_none_lost(load, at_least=1000)


def test_deleting_a_pod_loses_no_request(cluster: Cluster, body: bytes) -> None:
    victim = cluster.kube.ready_pods(SELECTOR)[0]["metadata"]["name"]
    with Load(cluster.infer, body, RATE) as load:
        time.sleep(3)
        cluster.kube.run("delete", "pod", victim, "-n", "models", "--wait=true")
        cluster.kube.rollout("employment")
        time.sleep(3)
    assert_none_lost(load, at_least=600)


def test_draining_a_node_loses_no_request(cluster: Cluster, body: bytes) -> None:
    with Load(cluster.infer, body, RATE) as load:
        time.sleep(3)
        try:
            cluster.kube.run(
                *("drain", "w1", "--ignore-daemonsets", "--delete-emptydir-data"),
                *("--timeout=180s", "--pod-selector", SELECTOR),
            )
            left = [
                p
                for p in cluster.kube.ready_pods(SELECTOR)
                if p["spec"]["nodeName"] == "w1"
            ]
            cluster.kube.rollout("employment")
            time.sleep(3)
        finally:
            cluster.kube.run("uncordon", "w1")
    assert not left
    assert_none_lost(load, at_least=600)


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
    with Load(url, body, RATE):
        time.sleep(2)  # the route's first answers; not counted
    with Load(url, body, RATE) as load:
        time.sleep(2)
        for _ in range(5):
            restart(cluster.kube, "control")
            if load.failed:
                break
    assert load.failed, f"the control lost none of {load.sent} requests"
