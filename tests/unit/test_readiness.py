"""What keeps an object from being of use is waited for, and said."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from slipway.engine import existing, readiness
from slipway.rendering.render import Rendered
from slipway.waiting import Waiting
from tests.support import rendered as support
from tests.support.fake_cluster import Clock, FakeCluster

Object = dict[str, Any]
OBJECTS: dict[str, Object] = {
    "GatewayClass": {"controllerName": "x"},
    "Gateway": {"listeners": []},
    "HTTPRoute": {"parentRefs": [{"name": "slipway", "namespace": "slipway-gateway"}]},
    "GRPCRoute": {"parentRefs": [{"name": "slipway", "namespace": "slipway-gateway"}]},
    "BackendTLSPolicy": {},
    "BackendTrafficPolicy": {},
    "ClientTrafficPolicy": {},
    "EnvoyExtensionPolicy": {},
    "SecurityPolicy": {},
    "ScaledObject": {},
}
"""Of each kind that is waited for: a specification."""
KINDS = {
    kind: (group, expected) for (group, kind), expected in readiness.EXPECTED.items()
}


@cache
def models(config: str = "{}") -> Rendered:
    return support.models(**json.loads(config))


class Stack:
    """A cluster with one object of one kind, and a stack that declares it."""

    def __init__(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kind, (self.group, self.expected) = kind, KINDS[kind]
        self.cluster, self.clock = FakeCluster(), Clock()
        manifest = {
            "apiVersion": f"{self.group}/v1",
            "kind": kind,
            "metadata": {"name": "x", "namespace": "models"},
        }
        self.cluster.add_manifest(manifest, generation=2)
        (self.path,) = self.cluster.objects
        self.object = self.cluster.objects[self.path]
        self.object["spec"] = OBJECTS[kind]
        self.gateway = "/apis/gateway.networking.k8s.io/v1/namespaces/slipway-gateway"
        self.cluster.add(f"{self.gateway}/gateways/slipway")
        resource = support.resource(models(), "HTTPRoute")
        one = existing.Wanted(resource, f"{self.group}/v1", kind, "models", "x")
        monkeypatch.setattr(existing, "every", lambda _: [one])

    def says(self, **conditions: tuple[str, str]) -> None:
        """Every condition that is needed holds, but for those that are given."""
        held = dict.fromkeys(self.expected.true, ("True", "Fine"))
        entry: Object = {"conditions": self.conditions(held | conditions)}
        if self.expected.lists == "parents":
            entry["parentRef"] = OBJECTS[self.kind]["parentRefs"][0]
        lists = self.expected.lists
        self.object["status"] = {lists: [entry]} if lists else entry

    @staticmethod
    def conditions(held: dict[str, tuple[str, str]], generation: int = 2) -> list[Any]:
        return [
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": f"about {kind}",
                "observedGeneration": generation,
            }
            for kind, (status, reason) in held.items()
        ]

    def wait(self) -> readiness.Seen:
        waiting = Waiting(self.clock.said.append, lambda: self.clock.now, self.sleep)
        with self.cluster.api as api:
            return readiness.wait(api, models(), waiting)

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.later(self.clock.now)

    def later(self, now: float) -> None:
        """What happens in the cluster in the meantime."""


@pytest.fixture(params=KINDS)
def stack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Stack:
    return Stack(request.param, monkeypatch)


def test_a_kind_of_each_is_tried() -> None:
    assert OBJECTS.keys() == KINDS.keys()


def test_what_is_of_use_is_not_waited_for(stack: Stack) -> None:
    stack.says()
    assert stack.wait() == readiness.Seen()
    assert stack.clock.now == 0
    assert stack.clock.said == []


def test_each_condition_that_does_not_hold_is_reported_with_its_reason(
    stack: Stack,
) -> None:
    for kind in stack.expected.true:
        stack.says(**{kind: ("False", "BadIdea")})
        begin = stack.clock.now
        (text,) = stack.wait().missing
        assert text.startswith(f"{stack.kind}/models/x: {kind} is False (BadIdea): ")
        assert f"about {kind}" in text
        assert stack.clock.now - begin == readiness.SETTLED_SECONDS


def test_a_controller_that_says_nothing_is_waited_for_to_the_bound(
    stack: Stack,
) -> None:
    seen = stack.wait()
    assert seen.missing
    assert stack.clock.now == readiness.SECONDS
    assert stack.clock.said[0].startswith(f"waiting for {stack.kind}/models/x: ")


@pytest.mark.parametrize("reason", sorted(readiness.UNFINISHED))
def test_a_controller_still_at_work_has_refused_nothing(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack("Gateway", monkeypatch)
    stack.says(Programmed=("False", reason))
    late = readiness.SECONDS - 1
    stack.later = lambda now: stack.says() if now >= late else None  # type: ignore[method-assign]
    assert stack.wait() == readiness.Seen()
    assert stack.clock.now == late


def test_what_is_said_of_an_earlier_generation_does_not_count(stack: Stack) -> None:
    stack.says()
    text = json.dumps(stack.object["status"])
    old = text.replace('"observedGeneration": 2', '"observedGeneration": 1')
    stack.object["status"] = json.loads(old)
    assert "has not been reported yet" in stack.wait().missing[0]
    assert stack.clock.now == readiness.SECONDS


def test_a_refusal_that_is_taken_back_is_none(stack: Stack) -> None:
    stack.says(**{stack.expected.true[0]: ("False", "TooEarly")})
    stack.later = lambda now: stack.says() if now >= 10 else None  # type: ignore[method-assign]
    assert stack.wait() == readiness.Seen()
    assert stack.clock.now == 10


def test_what_is_worth_a_warning_is_one_and_no_failure(stack: Stack) -> None:
    for kind, status in stack.expected.warnings:
        stack.says(**{kind: (status, "LookAtIt")})
        seen = stack.wait()
        assert seen.missing == []
        assert seen.warnings[0].startswith(
            f"{stack.kind}/models/x: {kind} is {status} (LookAtIt): about {kind}"
        )
        stack.says(**{kind: ({"True": "False"}.get(status, "True"), "Fine")})
        assert stack.wait() == readiness.Seen()


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
def test_a_route_to_no_gateway_fails_at_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(kind, monkeypatch)
    del stack.cluster.objects[f"{stack.gateway}/gateways/slipway"]
    seen = stack.wait()
    gone = "there is no Gateway slipway-gateway/slipway"
    assert seen.missing == [f"{kind}/models/x: {gone}"]
    assert stack.clock.now == 0


def test_every_parent_has_to_take_a_route(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack("HTTPRoute", monkeypatch)
    stack.says()
    other = {"name": "other", "sectionName": "http"}
    parents = [*OBJECTS["HTTPRoute"]["parentRefs"], other]
    stack.object["spec"] = {"parentRefs": parents}
    path = "/apis/gateway.networking.k8s.io/v1/namespaces/models/gateways/other"
    stack.cluster.add(path)
    (text,) = stack.wait().missing
    where = "no controller has processed it yet at Gateway models/other, listener http"
    assert text == f"HTTPRoute/models/x: {where}"


def test_one_of_several_controllers_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack("SecurityPolicy", monkeypatch)
    stack.says()
    refused = {"conditions": stack.conditions({"Accepted": ("False", "NotMine")})}
    stack.object["status"]["ancestors"].append(refused)
    assert stack.wait() == readiness.Seen()


def test_a_listener_of_no_use_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack("Gateway", monkeypatch)
    stack.says()
    bad = stack.conditions({"ResolvedRefs": ("False", "InvalidCertificateRef")})
    stack.object["status"]["listeners"] = [{"name": "https", "conditions": bad}]
    seen = stack.wait()
    assert seen.missing == []
    (text,) = seen.warnings
    refused = "ResolvedRefs is False (InvalidCertificateRef): about ResolvedRefs"
    assert text == f"Gateway/models/x: https: {refused}"
    assert stack.clock.now == readiness.TOLD_SECONDS


def test_an_object_that_is_gone_is_not_waited_for(stack: Stack) -> None:
    del stack.cluster.objects[stack.path]
    seen = stack.wait()
    assert seen.missing == [f"{stack.kind}/models/x: it no longer exists"]
    assert stack.clock.now == 0


def test_what_the_stacks_make_of_these_kinds_is_waited_for() -> None:
    kinds = {one.kind for one in readiness._expected(models())}
    assert kinds == {"HTTPRoute", "BackendTrafficPolicy"}
