"""Compose writes, tells or refuses each leaf of a traffic policy."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from components.serving.routes.traffic import BREAKER, EJECTION
from components.settings import SettingsError
from slipway.compose import traffic
from slipway.compose.composition import Composition
from slipway.compose.durations import seconds
from slipway.compose.objects import Object, Objects
from slipway.compose.routes import ANOTHER_HOST
from slipway.compose.stack import translated
from slipway.compose.traffic import leaves
from tests.support import composed
from tests.support import rendered as r

ROUTE = {"kind": "HTTPRoute", "metadata": {"name": "a", "namespace": "m"}}
SPEC: dict[str, Any] = {
    "targetRefs": [{"kind": "HTTPRoute", "name": "a"}],
    "timeout": {"tcp": {"connectTimeout": "1s"}},
    "healthCheck": {"passive": EJECTION},
    "tcpKeepalive": {"idleTime": "5s", "interval": "1s", "probes": 3},
    "circuitBreaker": BREAKER,
    "retry": {
        "numRetries": 2,
        "retryOn": {"triggers": ["connect-failure", "reset"]},
        "perRetry": {
            "timeout": "3s",
            "backOff": {"baseInterval": "25ms", "maxInterval": "250ms"},
        },
    },
}
NONE = {**SPEC, "retry": {"numRetries": 0}}


def outcome(spec: dict[str, Any]) -> Any:
    policy = {
        "kind": "BackendTrafficPolicy",
        "metadata": {"name": "a", "namespace": "m"},
        "spec": spec,
    }
    objects, composition = Objects((ROUTE, policy)), Composition("models.lab")
    try:
        traffic.check(composition, objects)
    except SettingsError as error:
        return str(error)
    found = traffic.of(objects, ROUTE)
    retries = traffic.retries(found, ANOTHER_HOST)
    return retries, traffic.cluster(found), composition.limits


def changes(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each copy of a value in which one leaf is another."""
    if isinstance(value, dict):
        for key, one in value.items():
            for where, other in changes(one, f"{path}.{key}"):
                yield where, {**copy.deepcopy(value), key: other}
    elif isinstance(value, list):
        for at, one in enumerate(value):
            for where, other in changes(one, f"{path}[{at}]"):
                yield where, [*value[:at], other, *value[at + 1 :]]
    elif isinstance(value, bool):
        yield path, not value
    elif isinstance(value, int):
        yield path, value + 7
    else:
        yield path, f"7{value}" if value[0].isdigit() else f"{value}x"


def test_a_policy_of_a_route_that_is_absent_is_refused() -> None:
    target = {"kind": "HTTPRoute", "name": "a-traffic"}
    spec = {**SPEC, "targetRefs": [*SPEC["targetRefs"], target]}
    assert "spec.targetRefs" in outcome(spec)


@pytest.mark.parametrize("spec", [SPEC, NONE], ids=["retries", "none"])
def test_a_changed_leaf_changes_what_is_written_or_reported(
    spec: dict[str, Any],
) -> None:
    before = outcome(spec)
    assert not isinstance(before, str)
    for path, changed in changes(spec):
        assert outcome(changed) != before, path


POLICIES = ("BackendTrafficPolicy", "ClientTrafficPolicy")


def composed_with(below: Objects, policy: Object, spec: dict[str, Any]) -> Any:
    """All that `slipway compose` writes and tells if a policy says another thing."""

    def changed(found: Objects) -> Objects:
        other = ({**o, "spec": spec} if o is policy else o for o in found.all)
        return Objects.of(other)

    models = composed.objects(composed.LAB)
    try:
        with composed.locked(r.IMAGES):
            found = translated(composed.LAB, changed(models), changed(below))
            return found.all_files(), found.limits
    except SettingsError as error:
        return str(error)


@pytest.mark.parametrize("kind", POLICIES)
def test_a_changed_leaf_of_a_stacks_own_policy_changes_the_project(kind: str) -> None:
    """The policies as the lab's stacks are rendered, and the whole that is written."""
    below = composed.objects("platform.lab")
    models = composed.objects(composed.LAB)
    found = [one for objects in (models, below) for one in objects.kind(kind)]
    assert found
    seen: set[str] = set()
    for policy in found:
        new = {p: s for p, s in changes(policy["spec"]) if p not in seen}
        before = composed_with(below, policy, policy["spec"]) if new else None
        assert not isinstance(before, str)
        for path, other in new.items():
            assert composed_with(below, policy, other) != before, path
        seen |= set(new)


def test_all_unknown_leaves_are_refused_by_their_paths() -> None:
    unknown = {"loadBalancer": {"type": "Random"}, "proxyProtocol": {"version": "V1"}}
    found = outcome({**SPEC, **unknown})
    assert "spec.loadBalancer.type" in found
    assert "spec.proxyProtocol.version" in found


@pytest.mark.parametrize("wrong", ["", "3", "1.5s", "-1s", "1d", "123456s", "1s "])
def test_what_is_no_duration_is_refused_by_its_path(wrong: str) -> None:
    found = outcome({**SPEC, "timeout": {"tcp": {"connectTimeout": wrong}}})
    assert "spec.timeout.tcp.connectTimeout" in found
    assert "such as 1m30s" in found


def test_durations() -> None:
    assert [seconds(text) for text in ("1m30s", "250ms", "1h", "0s")] == [
        *(90, 0.25, 3600, 0),
    ]


def test_two_policies_of_the_gateways_clients_are_refused() -> None:
    below = composed.objects("platform.lab")
    (policy,) = below.kind("ClientTrafficPolicy")
    more = {**policy, "metadata": {**policy["metadata"], "name": "another"}}
    with pytest.raises(SettingsError, match="another spec"):
        traffic.check(Composition("models.lab"), Objects.of(below.all, [more]))


def test_no_attempts_are_none() -> None:
    assert outcome(NONE)[0] == {"retry_policy": {"num_retries": 0}}


def test_leaves() -> None:
    assert list(leaves({"a": [{"b": 1}], "c": {}})) == [("a[].b", 1), ("c", {})]
