"""What controllers made goes by their own hands, in order, within bounds."""

from __future__ import annotations

import httpx
import pytest

from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.teardown import drain
from slipway.teardown.drain import Drain
from slipway.waiting import Waiting
from tests.support.fake_cluster import Clock, FakeCluster

POOL = f"{drain.NODE_POOLS}/gpu"
CLAIM = f"{drain.NODE_CLAIMS}/gpu-x"
CLASS = f"{drain.NODE_CLASSES}/gpu"
GATEWAY = "/apis/gateway.networking.k8s.io/v1/namespaces/gateway/gateways/models"
SERVICE = "/api/v1/namespaces/gateway/services/envoy"
PLAIN = "/api/v1/namespaces/models/services/employment"
PVC = "/api/v1/namespaces/monitoring/persistentvolumeclaims/data"
USER = "/api/v1/namespaces/monitoring/pods/prometheus-0"
OTHER = "/api/v1/namespaces/monitoring/pods/alertmanager-0"
PV = f"{drain.VOLUMES}/pv-1"
KEPT = f"{drain.VOLUMES}/pv-2"


@pytest.fixture
def cluster() -> FakeCluster:
    """One of everything; the volume goes once its claim is gone."""
    found = FakeCluster()
    for path in (POOL, CLAIM, CLASS, GATEWAY, OTHER):
        found.add(path)
    found.add(SERVICE, type="LoadBalancer")
    found.add(PLAIN, type="ClusterIP")
    found.add(PVC)
    found.add(f"{drain.NODES}/n1")
    used = {"persistentVolumeClaim": {"claimName": "data"}}
    found.add(USER, volumes=[{"name": "data"} | used, {"name": "tmp", "emptyDir": {}}])
    dynamic = {drain.PROVISIONED_BY: "ebs.csi.aws.com"}
    claim = {"namespace": "monitoring", "name": "data"}
    for path, policy in ((PV, "Delete"), (KEPT, "Retain")):
        found.add(
            path,
            annotations=dynamic,
            persistentVolumeReclaimPolicy=policy,
            claimRef=claim,
        )

    def controllers(path: str) -> None:
        if path == PVC:
            found.objects.pop(PV, None)

    found.on_delete = controllers
    return found


def run(cluster: FakeCluster, clock: Clock | None = None) -> list[str]:
    clock = clock or Clock()
    waiting = Waiting(clock.said.append, lambda: clock.now, clock.sleep)
    return Drain(cluster.api, waiting).run()


def test_all_goes_in_an_order_in_which_nothing_comes_back(cluster: FakeCluster) -> None:
    cluster.slow[CLAIM] = 1
    assert run(cluster) == []
    assert cluster.deleted() == [POOL, GATEWAY, SERVICE, PVC, USER, CLAIM, CLASS]
    cordoned = cluster.calls.index(("PATCH", f"{drain.NODES}/n1"))
    assert cordoned < cluster.calls.index(("DELETE", PVC))


def test_what_controllers_did_not_make_stays(cluster: FakeCluster) -> None:
    run(cluster)
    assert {PLAIN, OTHER, KEPT} <= set(cluster.objects)


def test_waits_are_bounded_and_what_is_left_is_named(cluster: FakeCluster) -> None:
    cluster.slow |= {SERVICE: 10**6, CLAIM: 10**6}
    clock = Clock()
    assert run(cluster, clock) == ["Service gateway/envoy", "NodeClaim gpu-x"]
    bound = drain.BALANCER_SECONDS + drain.NODE_SECONDS
    assert bound <= clock.now < bound + 30
    assert "after 300 s 1 load balancers are left" in clock.said
    # A class whose nodes are left is theirs.
    assert CLASS in cluster.objects


def test_progress_is_reported_when_it_changes(cluster: FakeCluster) -> None:
    cluster.slow[CLAIM] = 5
    clock = Clock()
    run(cluster, clock)
    assert clock.said.count("waiting for 1 Karpenter nodes: NodeClaim gpu-x") == 1


def test_a_service_that_is_made_again_is_deleted_again(cluster: FakeCluster) -> None:
    again = [SERVICE]

    def controller(path: str) -> None:
        if path == SERVICE and again:
            cluster.add(again.pop(), type="LoadBalancer")

    cluster.on_delete = controller
    cluster.objects.pop(PV)
    assert run(cluster) == []
    assert cluster.deleted().count(SERVICE) == 2


def test_it_may_be_interrupted_and_run_again(cluster: FakeCluster) -> None:
    def interrupt(path: str) -> None:
        if path == SERVICE:
            raise KeyboardInterrupt

    cluster.on_delete = interrupt
    with pytest.raises(KeyboardInterrupt):
        run(cluster)
    cluster.on_delete = lambda _: None
    cluster.objects.pop(PV)
    assert run(cluster) == []
    assert run(cluster) == []
    assert set(cluster.objects) >= {PLAIN, OTHER, KEPT}
    assert CLAIM not in cluster.objects


def test_a_cluster_without_karpenter_or_gateways_is_drained_too() -> None:
    cluster = FakeCluster()
    cluster.add(PLAIN, type="ClusterIP")
    assert run(cluster) == []
    assert cluster.deleted() == []


def test_a_refusal_of_the_api_server_is_an_error() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        return httpx.Response(403, text="deployer cannot list nodepools")

    transport = httpx.MockTransport(refuse)
    api = KubeApi(httpx.Client(base_url="https://cluster", transport=transport))
    with pytest.raises(KubeApiError, match="403 deployer cannot list"):
        Drain(api, Waiting(lambda _: None)).run()
