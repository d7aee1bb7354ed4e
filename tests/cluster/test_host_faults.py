"""Services of the hosts restart under load, and nobody outside notices."""

from __future__ import annotations

import time

import pytest

import lab
from slipway import images
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.disturbance import load
from tests.support.kube import wait_until


def node_ready(cluster: Cluster, name: str) -> bool:
    node = cluster.kube.get("node", name)
    return any(
        c["type"] == "Ready" and c["status"] == "True"
        for c in node["status"]["conditions"]
    )


@pytest.mark.calm
@pytest.mark.parametrize("service", ["kubelet", "containerd"])
def test_a_restarted_service_loses_no_request(cluster: Cluster, service: str) -> None:
    body = oip.request(images.real_rows("employment", 1)[0])
    selector = "app.kubernetes.io/instance=employment"
    before = {p["metadata"]["uid"] for p in cluster.kube.ready_pods(selector)}
    with load(cluster.infer, body, rate=50) as run:
        for host in ("cp1", "w1"):
            lab.Lab().host(host).run(["systemctl", "restart", service])
            time.sleep(3)
            wait_until(lambda h=host: node_ready(cluster, h), 60, f"{host} Ready")
        time.sleep(3)
    for host in ("cp1", "w1"):
        lab.Lab().host(host).run(["systemctl", "is-active", service])
    after = {p["metadata"]["uid"] for p in cluster.kube.ready_pods(selector)}
    assert before <= after, "pods were replaced"
    assert run.report.failed == {}, f"of {run.report.sent}: {run.report.failed}"
