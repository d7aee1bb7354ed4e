"""Callers stay on a revision at the real gateway, by the policy of an experiment.

The stack has a rollout, and its policy gets the part that an experiment would add: an
experiment needs a monitor, and the models' namespace has that of the lab's own stack.
Some 60 s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from rollout.objects import Names
from rollout.protocol import give
from rollout.status import OrderKind

from components.delivery.experiment_settings import salt_header
from components.delivery.rollout_file import traffic_route
from slipway import images
from slipway.engine import stack_api
from slipway.rollouts.live import Live
from tests.cluster import test_rollout
from tests.cluster.conftest import Cluster
from tests.cluster.test_rollout import MODEL, STACK
from tests.support import oip
from tests.support.kube import wait_until
from tests.support.own_stack import OwnStack

SERVER, PREFIX = "divided", "/divided/v1"
USER, SALT = "x-user-id", salt_header(0)
USERS = 150
Arms = dict[str, str]
"""Revision by caller."""


def settings() -> dict[str, Any]:
    """Of a server of its own: the records of its decisions stay in the cluster."""
    pair = ("first", "second", ["first", "second"])
    found = test_rollout.settings(*pair, min_intervals=300)
    (server,) = found["models"].values()
    return found | {"models": {SERVER: server | {"route": {"prefix": PREFIX}}}}


class Divided:
    """A stack with two revisions, whose callers are assigned by two headers."""

    def __init__(self, cluster: Cluster, live: Live) -> None:
        self.cluster, self.live = cluster, live
        self.url = f"{cluster.urls['gateway']}{PREFIX}/infer"
        self.body = oip.request(images.real_rows(MODEL, 1)[0])

    def arms(self, salt: str = "") -> Arms:
        """The revision that answers each caller."""
        names = [f"user-{number}" for number in range(USERS)]
        salted = {SALT: salt} if salt else {}
        found = self.answering([{USER: name} | salted for name in names])
        return dict(zip(names, found, strict=True))

    def answering(self, requests: Sequence[dict[str, str]]) -> list[str]:
        """The revision that answers each request, which are given by their headers."""
        with httpx.Client(timeout=20) as client:
            found = []
            for headers in requests:
                answer = client.post(self.url, content=self.body, headers=headers)
                assert answer.status_code == 200, answer.text
                found.append(answer.headers["x-model-revision"])
        return found

    def weigh(self, weight: int) -> None:
        self.live.run(give(OrderKind.PROMOTE, who="test", why="test", weight=weight))
        wait_until(
            lambda: self.live.state().route.weights.get("second") == weight,
            60,
            f"a weight of {weight}",
        )


@pytest.fixture(scope="module")
def divided(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Divided]:
    root = tmp_path_factory.mktemp("divided")
    stack = OwnStack(STACK, root)
    try:
        stack.up(**settings())
        hashed = {
            "type": "ConsistentHash",
            "consistentHash": {
                "type": "Headers",
                "headers": [{"name": USER}, {"name": SALT}],
            },
        }
        policy = ("backendtrafficpolicy", traffic_route(SERVER), "-n", "models")
        patch = json.dumps({"spec": {"loadBalancer": hashed}})
        cluster.kube.run("patch", *policy, "--type=merge", "-p", patch)
        with stack_api.of_stack(STACK, root) as api:
            found = Divided(cluster, Live(api, Names("models", SERVER)))
            wait_until(
                lambda: found.live.state().route.weights.get("second") == 50,
                90,
                "the first step",
            )
            # The proxies have the policy once a caller stays where it is.
            wait_until(lambda: found.arms() == found.arms(), 60, "callers stay")
            yield found
    finally:
        stack.down()


def test_a_caller_stays_while_the_weights_stand(divided: Divided) -> None:
    first = divided.arms()
    for _ in range(3):
        assert divided.arms() == first
    treated = sum(it == "second" for it in first.values())
    # Half of 150 within four standard deviations.
    assert 50 < treated < 100


def test_a_larger_share_takes_callers_of_the_control_alone(divided: Divided) -> None:
    before = divided.arms()
    divided.weigh(70)
    wait_until(lambda: divided.arms() != before, 30, "the proxies have the weights")
    after = divided.arms()
    moved = {name for name, arm in before.items() if after[name] != arm}
    assert {before[name] for name in moved} == {"first"}
    assert 8 < len(moved) < 60
    divided.weigh(50)
    wait_until(lambda: divided.arms() == before, 30, "callers are back")


def test_another_salt_divides_callers_anew(divided: Divided) -> None:
    one, two = divided.arms("one"), divided.arms("two")
    assert divided.arms("one") == one
    both = sum(it == "second" == two[name] for name, it in one.items())
    # A quarter of 150 if they are independent; 75 or 0 if they are the same.
    assert 18 < both < 58


def test_a_salt_gives_requests_without_a_caller_one_revision(divided: Divided) -> None:
    """Envoy leaves the missing header out of the hash, and the salt remains."""
    assert set(divided.answering([{}] * 60)) == {"first", "second"}
    assert len(set(divided.answering([{SALT: "one"}] * 60))) == 1
