"""The autoscaler follows the load up and down, and `up` does not fight it."""

from __future__ import annotations

from typing import Any

import numpy as np

from slipway import images
from slipway.engine.engine import Engine
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.disturbance import load
from tests.support.kube import wait_until


def autoscaler(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.kube.get("horizontalpodautoscaler", "employment")
    return found


def desired(cluster: Cluster) -> int:
    return int(autoscaler(cluster)["status"].get("desiredReplicas", 0))


def test_load_adds_replicas_and_its_end_removes_them(cluster: Cluster) -> None:
    low = autoscaler(cluster)["spec"]["minReplicas"]
    wait_until(lambda: desired(cluster) == low, 240, f"{low} replicas at rest")
    row = images.real_rows("employment", 1)[0]
    # A large batch a request: load on the model's processors, not on this client's.
    body = oip.request(np.repeat(row, 1000, axis=0))
    with load(cluster.infer, body, rate=120):
        wait_until(lambda: desired(cluster) > low, 180, "more replicas under load")
        # An update meanwhile leaves the replicas to the autoscaler.
        scaled = desired(cluster)
        assert Engine().up("models.lab").changes.get("update", 0) == 0
        assert desired(cluster) >= scaled
    wait_until(lambda: desired(cluster) == low, 300, f"{low} replicas again")
