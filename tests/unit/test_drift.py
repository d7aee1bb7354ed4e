"""What is compared of an object, and what the API server's answers mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slipway.cluster import drift, rollout
from slipway.cluster.kube_api import KubeApiError
from tests.support.recorded_stack import STACK, RecordedStack, secret


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordedStack:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    return RecordedStack(tmp_path / "checkout")


def test_a_slow_api_server_is_not_waited_for(stack: RecordedStack) -> None:
    seconds = iter(range(0, 10_000, 3))  # pass at each look at the clock
    with pytest.raises(KubeApiError, match="not all was answered within 10 s"):
        drift.differences(
            stack.cluster.api, STACK, stack.recorded, lambda: next(seconds)
        )
    assert len(stack.cluster.calls) <= 3


def test_no_object_no_request(stack: RecordedStack) -> None:
    assert drift.differences(stack.cluster.api, STACK, []) == []
    assert stack.cluster.calls == []


def test_what_nobody_wrote_is_not_read(stack: RecordedStack) -> None:
    """Equal versions are equal objects: here the cluster's content is another."""
    stack.live("settings")["data"]["limit"] = "6"
    assert drift.differences(stack.cluster.api, STACK, stack.recorded) == []


DECLARED: dict[str, Any] = {"a": 1, "b": {"c": [{"d": "x"}, {"d": "y"}]}, "on": True}


@pytest.mark.parametrize(
    ("found", "paths"),
    [
        ({**DECLARED, "more": 1}, []),
        ({**DECLARED, "a": 1.0}, []),
        ({**DECLARED, "a": 2}, ["a"]),
        ({**DECLARED, "a": True}, ["a"]),
        ({**DECLARED, "on": 1}, ["on"]),
        ({**DECLARED, "a": secret("x")}, []),
        ({**DECLARED, "b": None}, ["b"]),
        ({**DECLARED, "b": {"c": [{"d": "x"}]}}, ["b.c"]),
        ({**DECLARED, "b": {"c": [{"d": "x"}, {"d": "z", "e": 1}]}}, ["b.c[1].d"]),
        ({**DECLARED, "b": {"c": [{"d": "y"}, {"d": "x"}]}}, ["b.c[0].d", "b.c[1].d"]),
        ({}, ["a", "b", "on"]),
        (None, [""]),
    ],
)
def test_what_is_declared_is_compared(found: Any, paths: list[str]) -> None:
    assert list(drift.differing(found, DECLARED)) == paths


def test_ignored_paths_are_not_compared() -> None:
    ignored = frozenset({"b.c", "on"})
    assert list(drift.differing({"a": 1, "b": {}}, DECLARED, ignored)) == []
    assert list(drift.differing({"b": {}}, DECLARED, ignored)) == ["a"]


def test_names_that_the_provider_writes_in_its_own_way() -> None:
    api, provider = {"x-kubernetes-map-type": 1}, {"x_kubernetes_map_type": 1}
    assert list(drift.differing(api, provider)) == []
    assert list(drift.differing(provider, api)) == []
    assert list(drift.differing({"x-other": 1}, {"x_other": 1})) == ["x_other"]


SEEN = {"observedGeneration": 4}
REPLICAS = {**SEEN, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
REVISIONS = {**SEEN, "readyReplicas": 2, "currentRevision": "a", "updateRevision": "a"}
SCHEDULED = {
    **SEEN,
    "desiredNumberScheduled": 2,
    "updatedNumberScheduled": 2,
    "numberAvailable": 2,
}
COMPLETE = {"conditions": [{"type": "Complete", "status": "True"}]}
FAILED = {"conditions": [{"type": "Failed", "status": "True"}]}
LOAD_BALANCER = {"type": "LoadBalancer"}
ADDRESS = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
TWO = {"replicas": 2}


@pytest.mark.parametrize(
    ("kind", "spec", "status", "settled"),
    [
        ("apps/v1 Deployment", TWO, REPLICAS, True),
        ("apps/v1 Deployment", TWO, {**REPLICAS, "observedGeneration": 3}, False),
        ("apps/v1 Deployment", TWO, {**REPLICAS, "updatedReplicas": 1}, False),
        ("apps/v1 Deployment", TWO, {**REPLICAS, "availableReplicas": 1}, False),
        ("apps/v1 Deployment", TWO, {**REPLICAS, "replicas": 3}, False),
        ("apps/v1 Deployment", {"replicas": 0}, SEEN, True),
        ("apps/v1 Deployment", {"replicas": 0}, {}, False),
        ("apps/v1 Deployment", {}, SEEN, False),
        ("apps/v1 StatefulSet", TWO, REVISIONS, True),
        ("apps/v1 StatefulSet", TWO, {**REVISIONS, "readyReplicas": 1}, False),
        ("apps/v1 StatefulSet", TWO, {**REVISIONS, "updateRevision": "b"}, False),
        ("apps/v1 DaemonSet", {}, SCHEDULED, True),
        ("apps/v1 DaemonSet", {}, {**SCHEDULED, "numberAvailable": 1}, False),
        ("apps/v1 DaemonSet", {}, {**SCHEDULED, "updatedNumberScheduled": 1}, False),
        ("apps/v1 DaemonSet", {}, SEEN, False),
        ("batch/v1 Job", {}, COMPLETE, True),
        ("batch/v1 Job", {}, FAILED, False),
        ("batch/v1 Job", {}, {}, False),
        ("v1 Service", {}, {}, True),
        ("v1 Service", LOAD_BALANCER, {"loadBalancer": {}}, False),
        ("v1 Service", LOAD_BALANCER, ADDRESS, True),
        ("v1 Pod", {}, {"phase": "Running"}, False),
        ("networking.k8s.io/v1 Ingress", {}, {}, False),
        ("example.org/v1 Deployment", TWO, {}, True),
        ("v1 ConfigMap", {}, {}, True),
    ],
)
def test_an_object_says_that_its_pods_are_there(
    kind: str, spec: dict[str, Any], status: dict[str, Any], settled: bool
) -> None:
    version, _, name = kind.partition(" ")
    live = {
        "apiVersion": version,
        "kind": name,
        "metadata": {"generation": 4},
        "spec": spec,
        "status": status,
    }
    assert rollout.settled(live) is settled
