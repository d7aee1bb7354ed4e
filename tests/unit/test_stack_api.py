"""What has to be over in a cluster before a stack is made there."""

from __future__ import annotations

from slipway.engine import stack_api
from slipway.rendering.render import render
from slipway.waiting import Waiting
from tests.support.fake_cluster import Clock, FakeCluster
from tests.support.rendered import IMAGES

OURS, THEIRS = "/api/v1/namespaces/models", "/api/v1/namespaces/theirs"
WANTED = frozenset({"models", "slipway-gateway"})


def cluster(looks: int) -> FakeCluster:
    """Two namespaces whose deletion has begun, and outlives so many looks."""
    found = FakeCluster()
    for path in ("/api/v1/namespaces/default", OURS, THEIRS):
        found.add(path)
    stuck = {"type": "FinalizersRemaining", "status": "True", "message": "a is held"}
    good = {"type": "ContentFailure", "status": "False", "message": "all is well"}
    found.objects[OURS]["status"] = {"conditions": [good, stuck]}
    for path, slow in ((OURS, looks), (THEIRS, 10_000)):
        found.slow[path] = slow
        found.api.delete(path)
    return found


def test_a_deletion_of_one_of_ours_is_waited_for_and_no_others() -> None:
    clock = Clock()
    waiting = Waiting(clock.said.append, lambda: clock.now, clock.sleep)
    found = stack_api.await_namespaces(cluster(looks=4).api, WANTED, waiting)
    assert found == (True, [])
    assert clock.now == 15
    assert clock.said == ["waiting for 1 namespaces that are being deleted: models"]


def test_none_is_being_deleted() -> None:
    clock = Clock()
    waiting = Waiting(clock.said.append, lambda: clock.now, clock.sleep)
    api = cluster(looks=4).api
    found = stack_api.await_namespaces(api, frozenset({"default"}), waiting)
    assert found == (False, [])
    assert (clock.now, clock.said) == (0, [])


def test_a_deletion_that_does_not_end_is_reported_with_its_reason() -> None:
    clock = Clock()
    waiting = Waiting(clock.said.append, lambda: clock.now, clock.sleep)
    found = stack_api.await_namespaces(cluster(looks=10_000).api, WANTED, waiting)
    why = "it is being deleted, which does not finish: a is held"
    assert found == (True, [("Namespace models", why)])
    assert clock.now == stack_api.NAMESPACE_SECONDS


def test_a_stacks_namespaces_are_those_it_makes_and_those_it_uses() -> None:
    found = stack_api.namespaces(render("models.lab", images=IMAGES))
    assert found == {"models", "slipway-monitoring"}
    found = stack_api.namespaces(render("platform.lab", images=IMAGES))
    assert found >= {"models", "slipway-gateway", "slipway-monitoring", "kube-system"}
