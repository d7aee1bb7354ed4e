"""The rules of one node as data, and their verdict on a packet."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, order=True)
class Ports:
    """Ports of one protocol, both ends included; the default is all."""

    protocol: str
    first: int = 0
    last: int = 65535

    @property
    def is_all(self) -> bool:
        return (self.first, self.last) == (0, 65535)


@dataclass(frozen=True)
class Rule:
    """Allowed connections: these peers, on these ports of the destination."""

    peers: frozenset[Network] | None
    """None: any peer."""
    ports: frozenset[Ports] | None
    """None: all ports of all protocols, including those without ports."""

    def allows(self, peer: Address, protocol: str, port: int) -> bool:
        if self.peers is not None and not any(
            peer in network for network in self.peers
        ):
            return False
        return self.ports is None or any(
            ports.protocol == protocol and ports.first <= port <= ports.last
            for ports in self.ports
        )


Rules = frozenset[Rule]


@dataclass(frozen=True)
class Side:
    """Why a pod has its rules: its name, and the policies that select it."""

    pod: str
    policies: tuple[str, ...]


@dataclass(frozen=True)
class Ruleset:
    """Everything that a node enforces."""

    known: frozenset[str] = frozenset()
    """Addresses of all pods on the node; packets from other addresses are dropped."""
    ingress: Mapping[str, Rules] = field(default_factory=dict)
    """Rules by the address of the pod they protect; without an entry all may come."""
    egress: Mapping[str, Rules] = field(default_factory=dict)
    """Rules by the address of the pod they bind; without an entry it may do all."""
    reasons: Mapping[tuple[str, str], Side] = field(default_factory=dict, compare=False)
    """By direction and address, for diagnosis."""

    def refusals(
        self, source: str, destination: str, protocol: str, port: int
    ) -> list[str]:
        """The directions whose rules refuse a new connection; none: it is allowed."""
        if source == destination:
            return []
        found = []
        for direction, table, own, peer in (
            ("Egress", self.egress, source, destination),
            ("Ingress", self.ingress, destination, source),
        ):
            rules = table.get(own)
            address = ipaddress.ip_address(peer)
            if rules is not None and not any(
                rule.allows(address, protocol, port) for rule in rules
            ):
                found.append(direction)
        return found

    @cached_property
    def count(self) -> int:
        """Rules in all."""
        return sum(map(len, [*self.ingress.values(), *self.egress.values()]))
