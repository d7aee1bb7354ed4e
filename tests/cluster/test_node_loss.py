"""A node that is gone without a word fails no request, and a control shows why.

w1 loses its network first and its process 1 next: nobody hears a reset from it, as
when a machine loses power. The control is a route to the same replicas at the same
time, without the model's policy: it must lose requests, or the loss was not one.
"""

from __future__ import annotations

import copy
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

import lab
from slipway import images
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.disturbance import REQUESTS, assert_none_lost, load
from tests.support.kube import wait_until

pytestmark = pytest.mark.calm
LOST = "w1"
SELECTOR = "app.kubernetes.io/instance=employment"
PROXIES = "app.kubernetes.io/name=envoy,app.kubernetes.io/component=proxy"


@pytest.fixture(scope="module")
def body() -> bytes:
    return oip.request(images.real_rows("employment", 1)[0])


@pytest.fixture(autouse=True)
def spread(cluster: Cluster) -> None:
    """Each node has a replica, and the proxy is on the one that stays."""
    cluster.kube.run("cordon", LOST)
    try:
        for pod in cluster.kube.ready_pods(PROXIES, "slipway-gateway"):
            if pod["spec"]["nodeName"] == LOST:
                name = pod["metadata"]["name"]
                cluster.kube.run("delete", "pod", name, "-n", "slipway-gateway")
        wait_until(
            lambda: nodes(cluster, PROXIES, "slipway-gateway") == {"cp1"}, 120, "one"
        )
    finally:
        cluster.kube.run("uncordon", LOST)
    cluster.kube.run("rollout", "restart", "deployment/employment", "-n", "models")
    cluster.kube.rollout("employment")
    wait_until(lambda: nodes(cluster, SELECTOR, "models") == {"cp1", LOST}, 120, "both")


def nodes(cluster: Cluster, selector: str, namespace: str) -> set[str]:
    pods = cluster.kube.ready_pods(selector, namespace)
    return {pod["spec"]["nodeName"] for pod in pods}


def lose() -> None:
    """Cut it off, then end it."""
    host = lab.Lab().host(LOST)
    host.run(["ip", "link", "set", "eth0", "down"])
    init = host.init
    assert init
    os.kill(init.pid, signal.SIGKILL)
    assert init.wait(10)


def back(cluster: Cluster) -> None:
    lab.Lab().up()
    wait_until(lambda: nodes(cluster, SELECTOR, "models") >= {LOST}, 180, "back")


@contextmanager
def bare_route(cluster: Cluster) -> Iterator[str]:
    """A second way to the same replicas, without a policy: its URL."""
    path = "/employment-bare"
    found = cluster.kube.get("httproute", "employment")["spec"]
    rule = copy.deepcopy(found["rules"][0])
    rule["matches"] = [{"path": {"type": "PathPrefix", "value": path}}]
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "employment-bare", "namespace": "models"},
        "spec": {"parentRefs": found["parentRefs"], "rules": [rule]},
    }
    cluster.kube.apply(route)
    try:
        yield cluster.urls["gateway"] + path
    finally:
        cluster.kube.delete(route)


def answers(url: str, body: bytes) -> bool:
    return httpx.post(url, content=body).status_code == 200


def test_a_lost_node_loses_no_request(cluster: Cluster, body: bytes) -> None:
    try:
        with bare_route(cluster) as bare:
            wait_until(lambda: answers(bare, body), 60, "the bare route answers")
            with load(cluster.infer, body) as run, load(bare, body, 20) as control:
                time.sleep(5)
                lose()
                while run.report.sent < REQUESTS:
                    assert run.is_running, f"only {run.report.sent} requests were sent"
                    time.sleep(1)
        assert_none_lost(run.report)
        assert control.report.failed, "nothing was lost without the policy either"
    finally:
        back(cluster)
