"""Copies of requests on the gateway: a shadow step, and then the first with a weight.

Some 100 s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from rollout.mirror import SHADOW

from tests.cluster import test_rollout
from tests.cluster.conftest import Cluster
from tests.cluster.test_prediction import logged
from tests.cluster.test_rollout import Rolled, is_at
from tests.support.kube import wait_until

SERVER, PREFIX = "copied", "/copied/v1"


def settings() -> dict[str, Any]:
    shadow = {
        "percent": 100,
        "peak_requests_per_second": 100,
        "replica_requests_per_second": 200,
    }
    pair = ("first", "second", ["first", "second"])
    found = test_rollout.settings(*pair, shadow=shadow, min_intervals=3)
    (server,) = found["models"].values()
    return found | {"models": {SERVER: server | {"route": {"prefix": PREFIX}}}}


@pytest.fixture(scope="module")
def copied(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rolled]:
    root = tmp_path_factory.mktemp("copied")
    with test_rollout.rolled_out(cluster, root, settings(), PREFIX) as found:
        yield found


def arms(cluster: Cluster, revision: str) -> dict[str, str]:
    """Arm by id of what a revision's pods have logged."""
    spec = cluster.kube.get("deployment", f"{SERVER}-{revision}")["spec"]
    labels = spec["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    records = map(json.loads, logged(cluster, selector))
    return {record["id"]: record.get("arm", "") for record in records}


def test_copies_are_counted_and_nobody_gets_their_answers(copied: Rolled) -> None:
    with copied.callers() as callers:
        copied.until(lambda it: it.route.mirrors == {"second": 100}, 60, "copies")
        found = copied.until(test_rollout.counted, 90, "counts of copies")
        assert found.route.weights == {"first": 100, "second": 0}
        assert found.route.mirrors == {"second": 100}
    assert callers.failures == {}
    assert set(callers.answers) == {"first"}
    # Each copy bears the id of its request, and the new revision knows it for a copy.
    copies = wait_until(lambda: arms(copied.cluster, "second"), 15, "copies in the log")
    assert set(copies.values()) == {"shadow"}
    assert copies.keys() <= arms(copied.cluster, "first").keys()


def test_the_first_step_begins_once_they_agree_and_copies_end(copied: Rolled) -> None:
    with copied.callers() as callers:
        found = copied.until(is_at("second", 50), 90, "the first step")
        copied.until(test_rollout.counted, 90, "counts of both revisions")
    assert found.route.mirrors == {}
    assert callers.failures == {}
    assert set(callers.answers) == {"first", "second"}
    begun, agreed = copied.live.entries()[:2]
    assert begun["mirrors"] == {"before": 0, "after": 100}
    assert agreed["mirrors"] == {"before": 100, "after": 0}
    route = copied.cluster.kube.get("httproute", f"{SERVER}-traffic")
    assert not any(
        header["name"] == SHADOW
        for rule in route["spec"]["rules"]
        for one in rule.get("filters", [])
        for header in one.get("requestHeaderModifier", {}).get("set", [])
    )
