"""A rollout that needs no replica more: the old revision lends one of its three.

Some 100 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import test_rollout
from tests.cluster.conftest import Cluster
from tests.cluster.test_rollout import Rolled, is_at
from tests.support.kube import wait_until

SERVER, PREFIX = "lending", "/lending/v1"
REPLICAS = 3
LEND = {
    "replicas": 1,
    "peak_requests_per_second": 90,
    "replica_requests_per_second": 45,
}


def settings(*names: str) -> dict[str, Any]:
    """Of a server with one revision, or with a rollout from the first to the second."""
    more = {"lend": LEND, "steps": [{"weight": 20}], "min_intervals": 300}
    found = test_rollout.settings("first", "second", [*names], **more)
    (server,) = found["models"].values()
    server |= {
        "route": {"prefix": PREFIX},
        "scaling": {"min_replicas": REPLICAS, "max_replicas": REPLICAS},
    }
    if names == ("first",):
        del server["rollout"]
        server["revisions"]["first"]["weight"] = 100
    return found | {"models": {SERVER: server}}


@pytest.fixture(scope="module")
def lending(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rolled]:
    root = tmp_path_factory.mktemp("lending")
    with test_rollout.rolled_out(cluster, root, settings("first"), PREFIX) as found:
        yield found


def replicas(cluster: Cluster, revision: str) -> int:
    """Ready ones."""
    found = cluster.kube.get("deployment", f"{SERVER}-{revision}")
    return int(found["status"].get("readyReplicas", 0))


def test_the_old_revision_gives_one_and_the_new_one_gets_its_share(
    lending: Rolled,
) -> None:
    cluster = lending.cluster
    # The autoscaler adds them, after the stack is up with one.
    wait_until(lambda: replicas(cluster, "first") == REPLICAS, 120, "three replicas")
    with lending.callers() as callers:
        lending.stack.up(**settings("first", "second"))
        lending.until(is_at("second", 20), 120, "the step with a lent replica")
        lending.until(test_rollout.counted, 90, "counts of both revisions")
    assert callers.failures == {}
    assert set(callers.answers) == {"first", "second"}
    found = wait_until(
        lambda: (
            (both := tuple(replicas(cluster, it) for it in ("first", "second")))
            and sum(both) == REPLICAS
            and both
        ),
        30,
        "as many replicas as before",
    )
    assert found == (2, 1)
