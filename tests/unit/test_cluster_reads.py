"""What the cluster's tests read of an API server, without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.cluster.kube_api import KubeApi
from tests.support import kube
from tests.support.api_kinds import Kinds
from tests.support.kube import Kube

POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "a", "namespace": "models", "labels": {"x": "y"}},
    "spec": {},
}
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "a"},
    "rules": [],
}
RBAC, NETWORKING = "rbac.authorization.k8s.io", "networking.k8s.io"
METRICS = "metrics.k8s.io"


def group(name: str, version: str) -> dict[str, Any]:
    return {"name": name, "preferredVersion": {"groupVersion": f"{name}/{version}"}}


def resources(*found: tuple[str, str, bool]) -> dict[str, Any]:
    keys = ("name", "kind", "namespaced")
    return {"resources": [dict(zip(keys, one, strict=True)) for one in found]}


ANSWERS: dict[str, Any] = {
    "/apis": {
        "groups": [group(METRICS, "v1"), group(NETWORKING, "v1"), group(RBAC, "v1")]
    },
    "/api/v1": resources(("pods", "Pod", True), ("pods/log", "Pod", True)),
    f"/apis/{METRICS}/v1": resources(("pods", "PodMetrics", True)),
    f"/apis/{NETWORKING}/v1": resources(("networkpolicies", "NetworkPolicy", True)),
    f"/apis/{RBAC}/v1": resources(("clusterroles", "ClusterRole", False)),
    f"/apis/{NETWORKING}/v1/namespaces/models/networkpolicies/a": POLICY,
    f"/apis/{RBAC}/v1/clusterroles/a": ROLE,
    "/api/v1/namespaces/models/pods?labelSelector=a%3Db": {
        "kind": "PodList",
        "apiVersion": "v1",
        "items": [{"metadata": {"name": "a-1", "managedFields": [{}]}}],
    },
}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kube:
    def answer(request: httpx.Request) -> httpx.Response:
        found = ANSWERS.get(request.url.raw_path.decode())
        return httpx.Response(404 if found is None else 200, json=found or {})

    transport = httpx.MockTransport(answer)
    api = KubeApi(httpx.Client(base_url="https://api", transport=transport))
    monkeypatch.setattr(kube, "_connected", lambda _: (api, Kinds(api)))
    (tmp_path / "kubeconfig").touch()
    return Kube(tmp_path / "kubeconfig")


@pytest.mark.parametrize("wanted", [[ROLE, POLICY], [POLICY, ROLE], [POLICY]])
def test_objects_come_in_the_order_in_which_they_were_named(
    cluster: Kube, wanted: list[dict[str, Any]]
) -> None:
    assert cluster.live(wanted) == wanted


@pytest.mark.parametrize(
    "kind", ["networkpolicy", "networkpolicies", f"NetworkPolicy.{NETWORKING}"]
)
def test_kinds_have_the_names_that_kubectl_takes(cluster: Kube, kind: str) -> None:
    assert cluster.get(kind, "a") == POLICY
    assert not cluster.has(kind, "b")


def test_items_of_a_list_have_their_kind(cluster: Kube) -> None:
    """Pods are those of the core group, although another one has some, too."""
    (pod,) = cluster.get("pods", selector="a=b")
    assert pod == {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a-1"}}


def test_what_is_not_there_is_reported(cluster: Kube) -> None:
    with pytest.raises(
        AssertionError, match="get networkpolicy b: it is not in models"
    ):
        cluster.get("networkpolicy", "b")
    with pytest.raises(AssertionError, match="the cluster has no kind nodepools"):
        cluster.get("nodepools")
