"""Models sleep while nobody calls, and wake for who does, without a lost request.

The control takes the wakers away: what a sleeping model is asked then must fail.
SLIPWAY_SLEEPERS says how many models there are; 25 is the run of
docs/how-to/scale-to-zero.md.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator

import httpx
import pytest

from slipway import images
from slipway.bench.open_loop import Background, Bounds, Target, constant
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.kube import wait_until
from tests.support.own_stack import OwnStack
from tests.support.sleepy import LONGEST_SECONDS, STACK, Sleepy, names

COUNT = int(os.environ.get("SLIPWAY_SLEEPERS", "5"))
ONE, OTHER, LATER, *REST = names(COUNT)
RATE, SECONDS = 50.0, 20.0
WAKERS = ("deployment/waker", "-n", "models")


@pytest.fixture(scope="module")
def body() -> bytes:
    return oip.request(images.real_rows("employment", 1)[0])


@pytest.fixture(scope="module")
def sleepy(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sleepy]:
    root = tmp_path_factory.mktemp("sleepy")
    found = Sleepy(cluster, OwnStack(STACK, root))
    try:
        found.up(names(COUNT))
        yield found
    finally:
        found.stack.down()
        shutil.rmtree(root)


def test_all_wake_at_once(sleepy: Sleepy, cluster: Cluster, body: bytes) -> None:
    sleepy.asleep()
    wanted = httpx.post(cluster.infer, content=body).json()["outputs"]
    answers = sleepy.call_all(names(COUNT), body)
    assert [status for status, _, _ in answers] == [200] * COUNT, answers
    assert all(json.loads(text)["outputs"] == wanted for _, _, text in answers)
    seconds = sorted(seconds for _, seconds, _ in answers)
    print(f"\n  {COUNT} woke in {seconds[0]:.1f} to {seconds[-1]:.1f} s")


def test_requests_that_meet_the_falling_asleep_are_not_lost(
    sleepy: Sleepy, body: bytes
) -> None:
    sleepy.asleep()
    bounds = Bounds(timeout_seconds=LONGEST_SECONDS, connections=1024)
    target = Target(sleepy.url(ONE), (body,))
    with Background(target, constant(RATE, SECONDS), bounds) as run:
        wait_until(lambda: not run.is_running, SECONDS + LONGEST_SECONDS, "the end")
    assert run.report.sent == RATE * SECONDS
    assert run.report.failed == {}, run.report.failures[:5]
    # Only who is called wakes.
    others = sleepy.replicas()
    assert others.pop(ONE) == 1
    assert not any(others.values())


def test_without_wakers_a_sleeping_model_answers_nobody(
    sleepy: Sleepy, cluster: Cluster, body: bytes
) -> None:
    sleepy.asleep(OTHER)
    cluster.kube.run("scale", *WAKERS, "--replicas=0")
    try:
        # They answer to their end: who calls before that wakes it.
        wait_until(lambda: not sleepy.wakers(), 60, "the wakers are gone")
        status, _, _ = sleepy.call(OTHER, body)
        assert status == 503
    finally:
        cluster.kube.run("scale", *WAKERS, "--replicas=2")
    cluster.kube.rollout("waker")
    wait_until(lambda: sleepy.call(OTHER, body)[0] == 200, 60, "it wakes again")


def test_a_waker_changes_no_endpoints_but_its_own(
    sleepy: Sleepy, cluster: Cluster
) -> None:
    """RBAC lets it write every slice of the namespace; the API server refuses."""
    managed_by = "endpointslice.kubernetes.io/managed-by"
    account = "--as=system:serviceaccount:models:waker"
    slices = cluster.kube.get("endpointslice")
    theirs = next(
        it["metadata"]["name"]
        for it in slices
        if it["metadata"]["labels"][managed_by] == "endpointslice-controller.k8s.io"
    )

    def slice_to(pod: str, manager: str) -> str:
        """What the API server says against it."""
        labels = {"kubernetes.io/service-name": "employment", managed_by: manager}
        target = {"kind": "Pod", "name": pod}
        content = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "added", "labels": labels},
            "addressType": "IPv4",
            "ports": [],
            "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": target}],
        }
        create = ("create", "-f", "-", "-n", "models", "--dry-run=server", account)
        return cluster.kube.run(*create, text=json.dumps(content), check=False).stderr

    assert slice_to("waker-0", "waker.slipway.dev") == ""
    assert "have the label" in slice_to("waker-0", "someone.example")
    assert "pods of the waker only" in slice_to("other-0", "waker.slipway.dev")
    path = "/apis/discovery.k8s.io/v1/namespaces/models/endpointslices"
    # Raw: kubectl would get the slice first, which is not among the waker's rights.
    raw = ("delete", "--raw", f"{path}/{theirs}?dryRun=All", account)
    said = cluster.kube.run(*raw, check=False).stderr
    assert "changes and deletes slices of its own only" in said


def test_an_up_leaves_sleepers_asleep_and_wakes_who_may_not_sleep(
    sleepy: Sleepy, body: bytes
) -> None:
    # Nobody has called these for a while.
    sleepy.asleep(LATER, *REST)
    # New pods for all, if they had any.
    sleepy.up(names(COUNT), awake=LATER, log_level="warning")
    wait_until(lambda: sleepy.replicas()[LATER] == 1, 60, "it is awake for good")
    status, _, _ = sleepy.call(LATER, body)
    assert status == 200
    found = sleepy.replicas()
    assert not any(found[name] for name in REST)
    status, _, _ = sleepy.call(REST[0], body)
    assert status == 200
