"""Pods and NetworkPolicies for tests, and what a policy means, written a second time.

`allowed` follows the API's documentation packet by packet, with no sets and no tables,
so that it shares no mistake with the agent's compiler.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from toolchain import paths

AGENT = paths.ROOT / "images" / "policy_agent"
sys.path.insert(0, str(AGENT))

Object = dict[str, Any]


@dataclass
class World:
    """The objects of a small cluster, as the API server would show them."""

    namespaces: list[Object] = field(default_factory=list)
    pods: list[Object] = field(default_factory=list)
    policies: list[Object] = field(default_factory=list)

    def rulesets(self) -> dict[str, Any]:
        """What the agent makes of it, by node."""
        from policy_agent import compiler, objects

        pods = [p for p in map(objects.pod, self.pods) if p]
        namespaces = {n.name: n for n in map(objects.namespace, self.namespaces)}
        policies = [objects.policy(p) for p in self.policies]
        made = compiler.Compiler(pods, namespaces, policies)
        nodes = {p["spec"]["nodeName"] for p in self.pods}
        return {node: made.ruleset(node) for node in sorted(nodes)}

    def lets(self, source: str, target: str, port: int, protocol: str = "TCP") -> bool:
        """Whether the rules of all nodes together let a connection through."""
        return not any(
            ruleset.refusals(source, target, protocol, port)
            for ruleset in self.rulesets().values()
        )


def namespace(name: str, **labels: str) -> Object:
    own = {"kubernetes.io/metadata.name": name}
    return {"metadata": {"name": name, "labels": {**own, **labels}}}


def pod(
    name: str,
    address: str,
    *,
    namespace: str = "here",
    node: str = "n1",
    ports: dict[str, int | tuple[str, int]] | None = None,
    **labels: str,
) -> Object:
    """`ports`: numbers, or (protocol, number), by name."""
    listed = []
    for port_name, value in (ports or {}).items():
        protocol, number = value if isinstance(value, tuple) else ("TCP", value)
        listed.append(
            {"name": port_name, "protocol": protocol, "containerPort": number}
        )
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "c", "ports": listed}]},
        "status": {"phase": "Running", "podIPs": [{"ip": address}]},
    }


def policy(
    spec: Object, *, namespace: str = "here", name: str = "policy", **selected: str
) -> Object:
    """`selected`: labels of the pods; a podSelector in the spec comes before them."""
    selector = {"matchLabels": selected} if selected else {}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": selector, **spec},
    }


def allowed(
    world: World, source: str, target: str, port: int, protocol: str = "TCP"
) -> bool:
    """Whether a connection is allowed, by what the documentation says."""
    if source == target:
        return True
    packet = (source, target, port, protocol)
    return _side(world, "Egress", packet) and _side(world, "Ingress", packet)


def _side(world: World, direction: str, packet: tuple[str, str, int, str]) -> bool:
    source, target, port, protocol = packet
    own, peer = (source, target) if direction == "Egress" else (target, source)
    subject = _pod_at(world, own)
    if subject is None:
        return True
    isolated = False
    for each in world.policies:
        spec = each["spec"]
        if each["metadata"]["namespace"] != subject["metadata"]["namespace"]:
            continue
        if not _selects(spec["podSelector"], subject["metadata"]["labels"]):
            continue
        types = spec.get("policyTypes") or (
            ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
        )
        if direction not in types:
            continue
        isolated = True
        rules = spec.get("ingress" if direction == "Ingress" else "egress") or []
        for rule in rules:
            peers = rule.get("from" if direction == "Ingress" else "to") or []
            space = each["metadata"]["namespace"]
            if peers and not any(_is(world, peer, one, space) for one in peers):
                continue
            ports = rule.get("ports") or []
            if not ports or any(
                _on(world, one, target, port, protocol) for one in ports
            ):
                return True
    return not isolated


def _pod_at(world: World, address: str) -> Object | None:
    for each in world.pods:
        if {"ip": address} in each["status"]["podIPs"]:
            return each
    return None


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(k) != v for k, v in wanted.items()):
        return False
    for each in selector.get("matchExpressions") or []:
        value = labels.get(each["key"])
        answers = {
            "In": value is not None and value in each.get("values", []),
            "NotIn": value is None or value not in each.get("values", []),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not answers[each["operator"]]:
            return False
    return True


def _is(world: World, address: str, peer: Object, space: str) -> bool:
    block = peer.get("ipBlock")
    if block:
        return _in(address, [block["cidr"]]) and not _in(
            address, block.get("except") or []
        )
    found = _pod_at(world, address)
    if found is None:
        return False
    name = found["metadata"]["namespace"]
    if "namespaceSelector" in peer:
        (holder,) = [n for n in world.namespaces if n["metadata"]["name"] == name]
        if not _selects(peer["namespaceSelector"], holder["metadata"]["labels"]):
            return False
    elif name != space:
        return False
    return _selects(peer.get("podSelector") or {}, found["metadata"]["labels"])


def _in(address: str, networks: Iterable[str]) -> bool:
    one = ipaddress.ip_address(address)
    return any(one in ipaddress.ip_network(text) for text in networks)


def _on(world: World, entry: Object, target: str, port: int, protocol: str) -> bool:
    if entry.get("protocol", "TCP") != protocol:
        return False
    wanted = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return wanted <= port <= entry.get("endPort", wanted)
    found = _pod_at(world, target)
    listed = found["spec"]["containers"][0]["ports"] if found else []
    return any(
        (p["name"], p["protocol"], p["containerPort"]) == (wanted, protocol, port)
        for p in listed
    )
