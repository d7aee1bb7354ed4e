"""Any policies: the agent's rules say what the API's documentation says."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.policies import World, allowed, namespace, pod, policy

MANY = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
SPACES = ("one", "two", "three")
KEYS, VALUES = ("a", "b"), ("1", "2")
NUMBERS = (53, 80, 81, 90)
PROTOCOLS = ("TCP", "UDP", "SCTP")
NAMES = ("web", "dns")
OUTSIDE = ("203.0.113.9", "10.0.9.9")
BLOCKS = ("0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/30", "10.0.0.2/32", "203.0.113.0/24")

labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2)
expressions = st.one_of(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(KEYS),
            "operator": st.sampled_from(("In", "NotIn")),
            "values": st.lists(st.sampled_from(VALUES), min_size=1, unique=True),
        }
    ),
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(KEYS),
            "operator": st.sampled_from(("Exists", "DoesNotExist")),
        }
    ),
)
selectors = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": labels,
        "matchExpressions": st.lists(expressions, max_size=2),
    },
)


@st.composite
def blocks(draw: Any) -> dict[str, Any]:
    """Exceptions lie within the block: the API server takes no others."""
    import ipaddress

    cidr = draw(st.sampled_from(BLOCKS))
    outer = ipaddress.ip_network(cidr)
    inner = [
        b
        for b in BLOCKS
        if b != cidr and ipaddress.ip_network(b).subnet_of(outer)  # type: ignore[arg-type]
    ]
    held = draw(st.lists(st.sampled_from(inner), unique=True)) if inner else []
    return {"ipBlock": {"cidr": cidr, **({"except": held} if held else {})}}


peers = st.one_of(
    blocks(),
    st.fixed_dictionaries({"podSelector": selectors}),
    st.fixed_dictionaries({"namespaceSelector": selectors}),
    st.fixed_dictionaries({"namespaceSelector": selectors, "podSelector": selectors}),
)


@st.composite
def ports(draw: Any) -> dict[str, Any]:
    found = draw(
        st.fixed_dictionaries({}, optional={"protocol": st.sampled_from(PROTOCOLS)})
    )
    port = draw(st.one_of(st.none(), st.sampled_from(NUMBERS), st.sampled_from(NAMES)))
    if port is not None:
        found["port"] = port
    if isinstance(port, int) and draw(st.booleans()):
        found["endPort"] = port + draw(st.integers(0, 20))
    return dict(found)


def rules(key: str) -> Any:
    held = {key: st.lists(peers, max_size=3), "ports": st.lists(ports(), max_size=3)}
    return st.lists(st.fixed_dictionaries({}, optional=held), max_size=3)


specs = st.fixed_dictionaries(
    {"podSelector": selectors},
    optional={
        "policyTypes": st.sampled_from(
            (["Ingress"], ["Egress"], ["Ingress", "Egress"])
        ),
        "ingress": rules("from"),
        "egress": rules("to"),
    },
)


@st.composite
def worlds(draw: Any) -> World:
    found = World([namespace(name, **draw(labels)) for name in SPACES])
    for number in range(draw(st.integers(2, 5))):
        named = st.tuples(st.sampled_from(PROTOCOLS), st.sampled_from(NUMBERS))
        found.pods.append(
            pod(
                f"pod-{number}",
                f"10.0.0.{number + 1}",
                namespace=draw(st.sampled_from(SPACES)),
                node=draw(st.sampled_from(("n1", "n2"))),
                ports=draw(st.dictionaries(st.sampled_from(NAMES), named)),
                **draw(labels),
            )
        )
    for number, spec in enumerate(draw(st.lists(specs, max_size=4))):
        space = draw(st.sampled_from(SPACES))
        found.policies.append(policy(spec, namespace=space, name=f"policy-{number}"))
    return found


@MANY
@given(worlds())
def test_the_rules_say_what_the_policies_mean(found: World) -> None:
    rulesets = found.rulesets().values()
    addresses = [p["status"]["podIPs"][0]["ip"] for p in found.pods] + [*OUTSIDE]
    for source in addresses:
        for target in addresses:
            for port in NUMBERS:
                for protocol in PROTOCOLS:
                    packet = (source, target, protocol, port)
                    let = not any(ruleset.refusals(*packet) for ruleset in rulesets)
                    expected = allowed(found, source, target, port, protocol)
                    assert let == expected, packet
