"""Nodes that a change replaces: which changes do, how many, and how quickly."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from slipway.preview import node_drift
from slipway.preview.report import Drift, Report, Restart
from slipway.preview.verdict import with_verdict
from slipway.rendering.recorder import Resource

TYPE = "node.kubernetes.io/instance-type"
POOL: dict[str, Any] = {
    "template": {
        "metadata": {"labels": {"a": "b"}},
        "spec": {
            "nodeClassRef": {"name": "gpu"},
            "requirements": [
                {"key": TYPE, "operator": "In", "values": ["g6.xlarge", "g6.2xlarge"]}
            ],
            "terminationGracePeriod": "1h",
        },
    },
    "limits": {"cpu": "16", "nvidia.com/gpu": "3"},
    "disruption": {
        "budgets": [{"nodes": "100%", "reasons": ["Empty"]}, {"nodes": "2"}]
    },
}
CLASS: dict[str, Any] = {"amiSelectorTerms": [{"alias": "al2023@v1"}]}
GROUP: dict[str, Any] = {
    "nodeGroupName": "system",
    "releaseVersion": "1",
    "scalingConfig": {"minSize": 2, "maxSize": 5},
    "updateConfig": {"maxUnavailable": 2},
    "launchTemplate": {"id": "pool-system-id"},
    "labels": {"a": "b"},
}
TEMPLATE: dict[str, Any] = {"userData": "a", "tags": {"a": "b"}}
EMPTY = Report(
    *("base", "head", "base", "placeholders", "nothing", ""), (), (), (), (), ()
)


def karpenter(pool: Any = POOL, nodes: Any = CLASS) -> list[Resource]:
    types = {
        "karpenter.sh/v1:NodePool": pool,
        "karpenter.k8s.aws/v1:EC2NodeClass": nodes,
    }
    return [
        Resource(
            f"urn:{name}",
            f"kubernetes:{name}",
            "a",
            {"metadata": {"name": "gpu"}, "spec": spec},
            custom=True,
        )
        for name, spec in types.items()
    ]


def eks(group: Any = GROUP, template: Any = TEMPLATE) -> list[Resource]:
    types = {node_drift.NODE_GROUP: group, node_drift.TEMPLATE: template}
    return [
        Resource(f"urn:{name}", name, "pool-system", inputs, custom=True)
        for name, inputs in types.items()
    ]


def changed(content: Any, path: str, value: Any) -> Any:
    """A copy with the value at the path; None removes it."""
    found = copy.deepcopy(content)
    place, *keys = found, *path.split(".")
    for key in keys[:-1]:
        place = place[int(key) if isinstance(place, list) else key]
    if value is None:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    return found


def drifts(before: list[Resource], after: list[Resource]) -> list[Drift]:
    return list(node_drift.drifts("s", before, after))


VALUES = "template.spec.requirements.0.values"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("template.metadata.labels.a", "c"),
        ("template.spec.taints", [{"key": "a"}]),
        ("template.spec.terminationGracePeriod", "2h"),
        (VALUES, ["g6.xlarge"]),
        (VALUES, ["g6.xlarge", "g6.4xlarge"]),
        ("template.spec.requirements.0.operator", "NotIn"),
        ("template.spec.requirements.0.key", "other"),
    ],
)
def test_what_a_node_no_longer_matches_drifts(path: str, value: Any) -> None:
    (found,) = drifts(karpenter(), karpenter(changed(POOL, path, value)))
    assert (found.pool, found.kind, found.nodes_min) == ("gpu", "NodePool", 0)
    assert found.changes


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("limits.cpu", "32"),
        ("weight", 5),
        ("disruption.budgets", []),
        (VALUES, ["g6.4xlarge", "g6.2xlarge", "g6.xlarge"]),
        ("template.spec.requirements", []),
    ],
)
def test_what_every_node_still_matches_does_not(path: str, value: Any) -> None:
    assert not drifts(karpenter(), karpenter(changed(POOL, path, value)))


def test_numbers_are_those_of_limits_budget_and_grace() -> None:
    other = changed(CLASS, "amiSelectorTerms", [{"alias": "al2023@v2"}])
    (found,) = drifts(karpenter(), karpenter(nodes=other))
    # Of 16 vCPUs four of the smallest type, of three GPUs three.
    assert (found.nodes_max, found.at_once) == (3, "2")
    assert (found.drain_seconds, found.longest_seconds) == (3600, 7200)
    assert [one.path for one in found.changes] == ["spec.amiSelectorTerms[0].alias"]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("limits", {"nodes": "7"}, (7, "2", 3600, 4 * 3600)),
        ("limits", {}, (None, "2", 3600, None)),
        (VALUES, ["no.such"], (None, "2", 3600, None)),
        ("template.spec.terminationGracePeriod", None, (3, "2", None, None)),
        ("template.spec.terminationGracePeriod", "1h30m", (3, "2", 5400, 10800)),
        ("template.spec.terminationGracePeriod", 5, (3, "2", None, None)),
        ("disruption", {}, (3, "10%", 3600, None)),
        ("disruption.budgets", [{"nodes": "0"}], (3, "0", 3600, None)),
        ("disruption.budgets", ["a", {"nodes": 1}], (3, "1", 3600, 3 * 3600)),
        (
            "disruption.budgets",
            [{"nodes": "3"}, {"nodes": "0", "schedule": "@daily"}],
            (3, "3 and 0 during @daily", 3600, None),
        ),
    ],
)
def test_bounds_that_are_not_known_are_none(
    path: str, value: Any, expected: Any
) -> None:
    pool = changed(POOL, path, value)
    other = changed(CLASS, "amiSelectorTerms", [])
    (found,) = drifts(karpenter(pool), karpenter(pool, other))
    assert (
        found.nodes_max,
        found.at_once,
        found.drain_seconds,
        found.longest_seconds,
    ) == expected


def test_a_pool_that_is_new_or_gone_has_no_drift() -> None:
    assert not drifts(karpenter(), [])
    assert not drifts([], karpenter())


@pytest.mark.parametrize(
    ("group", "template"),
    [
        (changed(GROUP, "releaseVersion", "2"), TEMPLATE),
        (GROUP, changed(TEMPLATE, "userData", "b")),
    ],
)
def test_a_node_group_replaces_its_nodes(group: Any, template: Any) -> None:
    (found,) = drifts(eks(), eks(group, template))
    assert (found.pool, found.kind) == ("system", "NodeGroup")
    assert (found.nodes_min, found.nodes_max, found.at_once) == (2, 5, "2")
    assert (found.drain_seconds, found.longest_seconds) == (900, 2700)


@pytest.mark.parametrize(
    ("group", "template"),
    [
        (changed(GROUP, "labels", {"a": "c"}), TEMPLATE),
        (changed(GROUP, "scalingConfig", {"minSize": 3, "maxSize": 9}), TEMPLATE),
        (GROUP, changed(TEMPLATE, "tags", {"a": "c"})),
    ],
)
def test_a_node_group_keeps_nodes_that_eks_changes(group: Any, template: Any) -> None:
    assert not drifts(eks(), eks(group, template))


def test_a_group_that_is_replaced_takes_all_nodes_at_once() -> None:
    (found,) = node_drift.drifts("s", eks(), eks(), ["pool-system"])
    assert (found.at_once, found.longest_seconds) == ("all", 900)


@pytest.mark.parametrize("odd", [None, [], "a", 5, {"template": []}, {"limits": 1}])
def test_pools_of_an_odd_form_are_read(odd: Any) -> None:
    assert len(drifts(karpenter(), karpenter(odd, odd))) <= 1
    assert len(drifts(karpenter(odd, odd), karpenter())) <= 1


@pytest.mark.parametrize(
    ("limits", "bound"),
    [((2, 3), " (up to 5 {})"), ((2, None), ""), ((None, None), "")],
)
def test_the_verdict_has_a_bound_if_each_pool_or_workload_has_one(
    limits: tuple[int | None, ...], bound: str
) -> None:
    (drift,) = drifts(eks(), eks(changed(GROUP, "releaseVersion", "2")))
    pools = tuple(replace(drift, nodes_max=most) for most in limits)
    report = with_verdict(replace(EMPTY, drifts=pools))
    assert report.verdict == f"Replaces the nodes of 2 pools{bound.format('nodes')}."
    restart = Restart(
        *("s", "DaemonSet", "a/b", 0, None, "RollingUpdate", "0", "1", 30, ())
    )
    loads = tuple(replace(restart, replicas_max=most) for most in limits)
    report = with_verdict(replace(EMPTY, restarts=loads))
    assert report.verdict == f"Restarts the pods of 2 workloads{bound.format('pods')}."
