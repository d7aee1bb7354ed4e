"""An allowed destination of a model server: one egress rule of its network policy."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.cluster.nodes.taint import LabelKey, NodeValue
from components.part_settings import Port
from components.security import network
from components.setting_types import Namespace
from components.settings import ABSENT, Problem, Settings, refuse

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
METADATA = tuple(map(ipaddress.ip_network, network.METADATA))


_NOWHERE: dict[Network, str] = {
    ipaddress.ip_network(cidr): why
    for cidr, why in {
        "127.0.0.0/8": "network policies do not apply to the pod's loopback",
        "::1/128": "network policies do not apply to the pod's loopback",
        "224.0.0.0/4": "these are multicast addresses",
        "ff00::/8": "these are multicast addresses",
        "0.0.0.0/8": "no host has one of these addresses",
    }.items()
}


def _cidr(text: str) -> str:
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        refuse(
            "not an address range",
            "give one such as 10.20.0.0/16, or 10.20.3.4/32 for one host; network "
            "policies do not support host names",
        )
    if isinstance(found, ipaddress.IPv6Network) and (
        mapped := found.network_address.ipv4_mapped
    ):
        refuse(
            "it is an IPv4-mapped IPv6 address, which matches no packet",
            f"give {mapped} with its prefix length",
        )
    if "/" not in text or str(found) != text:
        refuse(
            "not the canonical form of this address range",
            f"give {found}",
        )
    if found in METADATA:
        refuse(
            "a node's own credentials are served at this address",
            "give the pods a role instead (service_account.pod_identity)",
        )
    if why := next((why for it, why in _NOWHERE.items() if _within(found, it)), None):
        refuse(why, "give the addresses that the replicas call")
    return text


def _within(found: Network, other: Network) -> bool:
    return found.version == other.version and other.supernet_of(found)  # type: ignore[arg-type]


Cidr = Annotated[str, AfterValidator(_cidr)]
"""A range of addresses in its shortest writing, IPv4 or IPv6."""


class Egress(Settings):
    """Connections that replicas may open: to addresses, or to pods of the cluster."""

    cidr: Cidr | None = None
    """Range of addresses outside the cluster, for example 10.20.0.0/16. The address
    where nodes get their own credentials is left out of every range."""
    namespace: Namespace | None = None
    """Namespace of the pods; default, with `pods`: the models' own."""
    pods: dict[LabelKey, NodeValue] = Field(default={}, validate_default=True)
    """Labels of the pods; default, with `namespace`: all its pods. Select pods, not a
    Service: policies apply after the Service's address was translated."""
    ports: tuple[Port, ...]
    """Ports of the targets; for pods, the container ports, not the Service's."""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    """Protocol of the ports."""

    def contradictions(self) -> Iterator[Problem]:
        """No target, or two; no port, or one twice."""
        if self.cidr and (self.namespace or self.pods):
            yield Problem(
                "cidr",
                self.cidr,
                "namespace or pods already select a target",
                "split it into two entries",
            )
        if not self.cidr and not self.namespace and not self.pods:
            yield Problem(
                "cidr",
                ABSENT,
                "no target is given",
                "give cidr, or namespace and pods",
            )
        if not self.ports:
            yield Problem(
                "ports",
                [],
                "for Kubernetes, no port means all ports",
                "list each port, such as [5432]",
            )
        if len(set(self.ports)) < len(self.ports):
            yield Problem(
                "ports",
                list(self.ports),
                "a port is listed twice",
                "give each once",
            )

    @property
    def exceptions(self) -> list[str]:
        """Addresses within the range that are excluded from it."""
        if not self.cidr:
            return []
        given: Network = ipaddress.ip_network(self.cidr)
        return [str(one) for one in METADATA if one.overlaps(given)]
