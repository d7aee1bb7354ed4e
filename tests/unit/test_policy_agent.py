"""The policy agent's compiler: each meaning of a NetworkPolicy by an example."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import policies
from tests.support.policies import World, namespace, pod, policy

A, B, C, OTHER, OUTSIDE = "10.0.1.1", "10.0.1.2", "10.0.2.3", "10.0.2.4", "203.0.113.9"
ADDRESSES = {"a": A, "b": B, "c": C, "other": OTHER, "outside": OUTSIDE}
ALL = set(ADDRESSES)


def world(*written: dict[str, Any]) -> World:
    """Pods a and b on one node, c on another, `other` in another namespace."""
    return World(
        [namespace("here", team="x"), namespace("there", team="y")],
        [
            pod("a", A, app="a", ports={"web": 8080, "dns": ("UDP", 53)}),
            pod("b", B, app="b", tier="1", ports={"web": 9090}),
            pod("c", C, node="n2", app="c"),
            pod("other", OTHER, namespace="there", node="n2", app="a"),
        ],
        list(written),
    )


def callers(written: World, port: int = 8080, protocol: str = "TCP") -> set[str]:
    """Who may connect to pod a, itself left out."""
    return {
        name
        for name, address in ADDRESSES.items()
        if name != "a" and written.lets(address, A, port, protocol)
    }


def called(written: World, port: int = 8080, protocol: str = "TCP") -> set[str]:
    """Whom pod a may connect to."""
    return {
        name
        for name, address in ADDRESSES.items()
        if name != "a" and written.lets(A, address, port, protocol)
    }


def _block(cidr: str, *holes: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr, "except": list(holes)}}


EVERYBODY = ALL - {"a"}
INGRESS: list[tuple[str, dict[str, Any], set[str]]] = [
    ("no rules", {}, set()),
    ("an empty rule", {"ingress": [{}]}, EVERYBODY),
    ("an empty list of peers", {"ingress": [{"from": []}]}, EVERYBODY),
    ("all pods here", {"ingress": [{"from": [{"podSelector": {}}]}]}, {"b", "c"}),
    (
        "some pods here",
        {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "b"}}}]}]},
        {"b"},
    ),
    (
        "all namespaces",
        {"ingress": [{"from": [{"namespaceSelector": {}}]}]},
        {"b", "c", "other"},
    ),
    (
        "a namespace and a pod: both",
        {
            "ingress": [
                {
                    "from": [
                        {
                            "namespaceSelector": {"matchLabels": {"team": "y"}},
                            "podSelector": {"matchLabels": {"app": "a"}},
                        }
                    ]
                }
            ]
        },
        {"other"},
    ),
    (
        "a namespace or a pod: either",
        {
            "ingress": [
                {
                    "from": [
                        {"namespaceSelector": {"matchLabels": {"team": "y"}}},
                        {"podSelector": {"matchLabels": {"app": "b"}}},
                    ]
                }
            ]
        },
        {"other", "b"},
    ),
    (
        "a block with a hole",
        {
            "ingress": [
                {
                    "from": [
                        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.2.0/24"]}}
                    ]
                }
            ]
        },
        {"b"},
    ),
    (
        "a block and all of it excepted",
        {"ingress": [{"from": [_block("10.0.0.0/8", "10.0.0.0/8")]}]},
        set(),
    ),
    (
        "expressions",
        {
            "ingress": [
                {
                    "from": [
                        {
                            "podSelector": {
                                "matchExpressions": [
                                    {"key": "tier", "operator": "DoesNotExist"},
                                    {"key": "app", "operator": "In", "values": ["c"]},
                                    {"key": "z", "operator": "NotIn", "values": ["1"]},
                                    {"key": "app", "operator": "Exists"},
                                ]
                            }
                        }
                    ]
                }
            ]
        },
        {"c"},
    ),
    ("another port", {"ingress": [{"ports": [{"port": 80}]}]}, set()),
    ("a range", {"ingress": [{"ports": [{"port": 80, "endPort": 9000}]}]}, EVERYBODY),
    ("a named port", {"ingress": [{"ports": [{"port": "web"}]}]}, EVERYBODY),
    ("a name nobody has", {"ingress": [{"ports": [{"port": "nope"}]}]}, set()),
    ("all of TCP", {"ingress": [{"ports": [{"protocol": "TCP"}]}]}, EVERYBODY),
    ("another protocol", {"ingress": [{"ports": [{"protocol": "UDP"}]}]}, set()),
    ("egress alone", {"policyTypes": ["Egress"]}, EVERYBODY),
]


@pytest.mark.parametrize(("what", "spec", "expected"), INGRESS)
def test_who_is_let_in(what: str, spec: dict[str, Any], expected: set[str]) -> None:
    assert callers(world(policy(spec, app="a"))) == expected


EGRESS: list[tuple[str, dict[str, Any], int, set[str]]] = [
    ("ingress alone, by default", {}, 8080, EVERYBODY),
    ("no rules", {"policyTypes": ["Egress"]}, 8080, set()),
    ("both, by default", {"egress": [{"ports": [{"port": 80}]}]}, 8080, set()),
    (
        "a named port is that of whoever is called",
        {"egress": [{"ports": [{"port": "web"}]}]},
        9090,
        {"b"},
    ),
    (
        "a named port of a block's pods",
        {
            "egress": [
                {"to": [{"ipBlock": {"cidr": B + "/32"}}], "ports": [{"port": "web"}]}
            ]
        },
        9090,
        {"b"},
    ),
    (
        "outside",
        {"egress": [{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]},
        8080,
        {"outside"},
    ),
]


@pytest.mark.parametrize(("what", "spec", "port", "expected"), EGRESS)
def test_whom_a_pod_may_call(
    what: str, spec: dict[str, Any], port: int, expected: set[str]
) -> None:
    assert called(world(policy(spec, app="a")), port) == expected


def test_policies_add_up_and_both_ends_must_agree() -> None:
    from_b = {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "b"}}}]}]}
    on_80 = {"ingress": [{"ports": [{"port": 80}]}]}
    both = world(policy(from_b, app="a"), policy(on_80, name="2"))
    assert callers(both) == {"b"}
    assert callers(both, 80) == EVERYBODY
    mute = policy({"policyTypes": ["Egress"]}, name="3", app="b")
    assert callers(world(policy(from_b, app="a"), mute)) == set()


def test_a_policy_holds_in_its_namespace_alone() -> None:
    assert callers(world(policy({}, namespace="there"))) == EVERYBODY


def test_udp_by_name() -> None:
    one = world(policy({"ingress": [{"ports": [{"port": "dns", "protocol": "UDP"}]}]}))
    assert callers(one, 53, "UDP") == EVERYBODY
    assert callers(one, 53, "TCP") == set()


def test_a_pod_reaches_itself() -> None:
    assert world(policy({"policyTypes": ["Ingress", "Egress"]})).lets(A, A, 8080)


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"phase": "Succeeded", "podIPs": [{"ip": A}]}},
        {"status": {"phase": "Pending"}},
        {"spec": {"nodeName": "n1", "hostNetwork": True, "containers": []}},
    ],
)
def test_pods_without_an_address_of_their_own_do_not_count(
    change: dict[str, Any],
) -> None:
    found = world()
    found.pods[0] |= change
    assert A not in found.rulesets()["n1"].known


def test_a_sidecar_listens_too() -> None:
    found = world(policy({"ingress": [{"ports": [{"port": "side"}]}]}, app="a"))
    port = {"name": "side", "containerPort": 7000}
    found.pods[0]["spec"]["initContainers"] = [
        {"name": "side", "restartPolicy": "Always", "ports": [port]}
    ]
    assert callers(found, 7000) == EVERYBODY


def test_each_node_has_the_rules_of_its_own_pods() -> None:
    rulesets = world(policy({"policyTypes": ["Ingress", "Egress"]})).rulesets()
    assert rulesets["n1"].known == {A, B}
    assert set(rulesets["n1"].ingress) == {A, B} == set(rulesets["n1"].egress)
    assert rulesets["n2"].known == {C, OTHER}
    assert set(rulesets["n2"].ingress) == {C}


def test_the_table_changes_with_the_rules_alone() -> None:
    from policy_agent import nft_text

    def table(found: World) -> Any:
        return nft_text.table(found.rulesets()["n1"], "veth*")

    spec = {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "c"}}}]}]}
    first = world(policy(spec))
    again = world(policy(spec))
    again.pods.reverse()
    assert table(first) == table(again)
    again.pods = [p for p in again.pods if p["metadata"]["name"] != "c"]
    assert table(first).mark != table(again).mark


def test_pods_with_the_same_rules_share_a_chain() -> None:
    from policy_agent import nft_text

    found = world(policy({"ingress": [{"ports": [{"port": 80}]}]}))
    text = nft_text.table(found.rulesets()["n1"], "veth*").text
    assert text.count("  chain in4_") == 1
    assert text.count(" : jump in4_") == 2


def test_ranges_of_ports_never_overlap_in_a_set() -> None:
    from policy_agent import nft_text

    ports = [{"port": 80, "endPort": 90}, {"port": 85, "endPort": 99}, {"port": 7}]
    found = world(policy({"ingress": [{"ports": ports}]}))
    text = nft_text.table(found.rulesets()["n1"], "veth*").text
    assert "tcp dport { 7, 80-99 } return" in text


@pytest.mark.parametrize(("what", "spec", "expected"), INGRESS)
def test_the_second_writing_of_the_semantics_says_the_same(
    what: str, spec: dict[str, Any], expected: set[str]
) -> None:
    """So that the property test rests on more than itself."""
    found = world(policy(spec, app="a"))
    assert {
        name
        for name, address in ADDRESSES.items()
        if name != "a" and policies.allowed(found, address, A, 8080)
    } == expected
