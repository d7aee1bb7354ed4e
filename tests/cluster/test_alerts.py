"""An alert that Prometheus fires arrives at the webhook of Alertmanager."""

from __future__ import annotations

from typing import Any

import httpx

from tests.cluster.conftest import Cluster
from tests.support.kube import wait_until

ALERT = "ModelWithoutReadyReplica"


def firing(cluster: Cluster) -> list[Any]:
    answer = httpx.get(cluster.urls["prometheus"] + "/api/v1/alerts", timeout=10)
    return [
        alert
        for alert in answer.json()["data"]["alerts"]
        if alert["labels"]["alertname"] == ALERT and alert["state"] == "firing"
    ]


def received(cluster: Cluster, status: str) -> list[Any]:
    answer = httpx.get(
        cluster.urls["alerts"] + "/alerts", params={"name": ALERT}, timeout=10
    )
    return [alert for alert in answer.json() if alert["status"] == status]


def test_every_target_is_up(cluster: Cluster) -> None:
    def down() -> list[str]:
        answer = httpx.get(cluster.urls["prometheus"] + "/api/v1/targets", timeout=10)
        targets = answer.json()["data"]["activeTargets"]
        assert len(targets) >= 5, targets
        return [t["scrapeUrl"] for t in targets if t["health"] != "up"]

    wait_until(lambda: not down(), 60, "every scrape target up")


def test_a_model_without_replicas_is_alerted_and_resolved(cluster: Cluster) -> None:
    scale = ("scale", "deployment/employment", "-n", "models")
    assert not firing(cluster)
    try:
        # At zero replicas the autoscaler stands aside.
        cluster.kube.run(*scale, "--replicas=0")
        wait_until(lambda: firing(cluster), 120, f"{ALERT} firing")
        alerts = wait_until(
            lambda: received(cluster, "firing"), 60, f"{ALERT} at the webhook"
        )
    finally:
        cluster.kube.run(*scale, "--replicas=2")
        cluster.kube.rollout("employment")
    assert alerts[-1]["labels"]["model"] == "employment"
    wait_until(lambda: received(cluster, "resolved"), 120, f"{ALERT} resolved")
