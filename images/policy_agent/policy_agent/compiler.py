"""NetworkPolicies, as the API means them, made into the rules of one node.

https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from policy_agent.objects import (
    DIRECTIONS,
    INGRESS,
    Namespace,
    Object,
    Pod,
    Policy,
    matches,
)
from policy_agent.rules import Network, Ports, Rule, Rules, Ruleset, Side


@dataclass(frozen=True)
class Peers:
    """The peers that one rule names; None is any peer."""

    networks: frozenset[Network] | None
    pods: tuple[Pod, ...]
    """The pods among them, whose named ports may be asked for."""


class Compiler:
    """Compiles one state of a cluster; what selectors found is kept while it does."""

    def __init__(
        self,
        pods: Iterable[Pod],
        namespaces: Mapping[str, Namespace],
        policies: Iterable[Policy],
    ) -> None:
        self._pods = list(pods)
        self._namespaces = namespaces
        self._policies = list(policies)
        self._peers: dict[str, Peers] = {}
        self._networks: dict[str, Network] = {}

    def ruleset(self, node: str) -> Ruleset:
        """Ingress of the node's pods as destinations, egress of them as sources."""
        known: set[str] = set()
        tables: dict[str, dict[str, Rules]] = {name: {} for name in DIRECTIONS}
        reasons: dict[tuple[str, str], Side] = {}
        for pod in self._pods:
            if pod.node != node:
                continue
            known.update(pod.addresses)
            for direction in DIRECTIONS:
                policies = self._selecting(pod, direction)
                if not policies:
                    continue
                rules = frozenset(
                    rule for p in policies for rule in self._rules(p, direction, pod)
                )
                names = tuple(sorted(p.name for p in policies))
                side = Side(f"{pod.namespace}/{pod.name}", names)
                for address in pod.addresses:
                    tables[direction][address] = rules
                    reasons[direction, address] = side
        return Ruleset(frozenset(known), tables[INGRESS], tables["Egress"], reasons)

    def _selecting(self, pod: Pod, direction: str) -> list[Policy]:
        return [
            policy
            for policy in self._policies
            if policy.namespace == pod.namespace
            and direction in policy.directions()
            and matches(policy.spec.get("podSelector") or {}, pod.labels)
        ]

    def _rules(self, policy: Policy, direction: str, pod: Pod) -> Iterator[Rule]:
        for entry in policy.rules(direction):
            entries = entry.get("from" if direction == INGRESS else "to") or []
            peers = self._named(policy.namespace, entries)
            if peers.networks == frozenset():
                continue
            if not entry.get("ports"):
                yield Rule(peers.networks, None)
                continue
            ports, named = _ports(entry["ports"])
            if direction == INGRESS:
                ports |= _numbers([pod], named)
            else:
                yield from self._by_name(peers, named)
            if ports:
                yield Rule(peers.networks, frozenset(ports))

    def _named(self, namespace: str, entries: list[Object]) -> Peers:
        """The peers of a rule; an empty list of them is anybody."""
        if not entries:
            return Peers(None, tuple(self._pods))
        key = json.dumps([namespace, entries], sort_keys=True)
        if key not in self._peers:
            self._peers[key] = self._find(namespace, entries)
        return self._peers[key]

    def _find(self, namespace: str, entries: list[Object]) -> Peers:
        networks: set[Network] = set()
        pods: dict[tuple[str, str], Pod] = {}
        for entry in entries:
            if entry.get("ipBlock"):
                blocks = _block(entry["ipBlock"])
                networks.update(blocks)
                chosen = [p for p in self._pods if self._within(p, blocks)]
            else:
                chosen = list(self._selected(namespace, entry))
                networks.update(self._network(a) for p in chosen for a in p.addresses)
            pods.update({(p.namespace, p.name): p for p in chosen})
        return Peers(frozenset(networks), tuple(pods.values()))

    def _selected(self, namespace: str, peer: Object) -> Iterator[Pod]:
        """Pods of a peer; without namespaceSelector those of the policy's namespace."""
        of_namespaces = peer.get("namespaceSelector")
        if of_namespaces is None:
            names = {namespace}
        else:
            names = {
                name
                for name, known in self._namespaces.items()
                if matches(of_namespaces, known.labels)
            }
        for pod in self._pods:
            if pod.namespace in names and matches(
                peer.get("podSelector") or {}, pod.labels
            ):
                yield pod

    def _within(self, pod: Pod, blocks: list[Network]) -> bool:
        return any(
            self._network(address).network_address in block
            for address in pod.addresses
            for block in blocks
        )

    def _by_name(self, peers: Peers, named: list[tuple[str, str]]) -> Iterator[Rule]:
        """Egress to named ports: one rule for pods that give them the same numbers."""
        found: dict[frozenset[Ports], set[Network]] = {}
        for pod in peers.pods:
            numbers = frozenset(_numbers([pod], named))
            if numbers:
                networks = [self._network(address) for address in pod.addresses]
                found.setdefault(numbers, set()).update(
                    network
                    for network in networks
                    if peers.networks is None
                    or any(network.network_address in one for one in peers.networks)
                )
        for ports, to in found.items():
            yield Rule(frozenset(to), ports)

    def _network(self, address: str) -> Network:
        """An address as a network of one, made once."""
        if address not in self._networks:
            self._networks[address] = ipaddress.ip_network(address)
        return self._networks[address]


def _ports(entries: list[Object]) -> tuple[set[Ports], list[tuple[str, str]]]:
    """Numbered ports, and (name, protocol) of the others."""
    numbered: set[Ports] = set()
    named: list[tuple[str, str]] = []
    for entry in entries:
        protocol = entry.get("protocol") or "TCP"
        port = entry.get("port")
        if port is None:
            numbered.add(Ports(protocol))
        elif isinstance(port, str):
            named.append((port, protocol))
        else:
            numbered.add(Ports(protocol, port, entry.get("endPort") or port))
    return numbered, named


def _numbers(pods: Iterable[Pod], named: list[tuple[str, str]]) -> set[Ports]:
    return {
        Ports(protocol, number, number)
        for pod in pods
        for name, protocol, number in pod.ports
        if (name, protocol) in named
    }


def _block(block: Object) -> list[Network]:
    """The networks of an ipBlock once its exceptions are taken out."""
    left: list[Network] = [ipaddress.ip_network(block["cidr"], strict=False)]
    for text in block.get("except") or ():
        hole = ipaddress.ip_network(text, strict=False)
        left = [part for network in left for part in _without(network, hole)]
    return left


def _without(network: Network, hole: Network) -> Iterator[Network]:
    if network.version != hole.version or not network.overlaps(hole):
        yield network
    elif network.prefixlen < hole.prefixlen:
        yield from network.address_exclude(hole)  # type: ignore[arg-type]
