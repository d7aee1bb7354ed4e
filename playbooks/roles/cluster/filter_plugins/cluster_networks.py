"""The networks of a cluster, compared as networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

LONGEST_POD_PREFIX = 30
"""A network of pods has an address for its gateway and one for a pod."""

Network = ipaddress.IPv4Network


def network_problems(
    nodes: Sequence[Mapping[str, Any]], cluster: Mapping[str, Any]
) -> list[str]:
    """What cannot be of a cluster's networks and addresses.

    Each node has `name`, `address` (node_address) and `pods` (node_pod_cidr); the
    cluster has `pod_network`, `service_network` and `dns_address`.
    """
    found: list[str] = []
    pods = _network("cluster_pod_network", cluster.get("pod_network"), found)
    services = _network(
        "cluster_service_network", cluster.get("service_network"), found
    )
    own: dict[str, Network] = {}
    for node in nodes:
        path = f"node_pod_cidr of {node['name']}"
        network = _network(path, node.get("pods"), found)
        if network is None:
            continue
        own[path] = network
        if network.prefixlen > LONGEST_POD_PREFIX:
            found.append(f"{path} is {network}: it has no room for pods")
        if pods and not network.subnet_of(pods):
            found.append(
                f"{path} is {network}: it is not in cluster_pod_network {pods}"
            )
    if pods and services and pods.overlaps(services):
        found.append(
            f"cluster_pod_network {pods} overlaps cluster_service_network {services}"
        )
    found += _overlaps(own)
    found += _hosts(nodes, pods, services)
    if services:
        found += _dns(cluster.get("dns_address"), services)
    return found


def _network(path: str, value: Any, found: list[str]) -> Network | None:
    """The network, or None with what is wrong with it added to `found`."""
    if not isinstance(value, str) or "/" not in value:
        said = "not set" if value in (None, "") else repr(value)
        found.append(f"{path} is {said}: give an IPv4 network such as 10.244.0.0/24")
        return None
    try:
        return ipaddress.IPv4Network(value)
    except ValueError:
        pass
    try:
        meant = ipaddress.IPv4Network(value, strict=False)
    except ValueError as error:
        found.append(f"{path} is {value!r}: {error}")
    else:
        found.append(f"{path} is {value!r}, an address in a network: give {meant}")
    return None


def _overlaps(own: Mapping[str, Network]) -> Iterator[str]:
    paths = list(own)
    for index, one in enumerate(paths):
        for other in paths[index + 1 :]:
            if own[one].overlaps(own[other]):
                yield f"{one} is {own[one]} and overlaps {other}, {own[other]}"


def _hosts(
    nodes: Sequence[Mapping[str, Any]], pods: Network | None, services: Network | None
) -> Iterator[str]:
    for node in nodes:
        try:
            address = ipaddress.IPv4Address(str(node.get("address")))
        except ValueError:
            continue  # said with the addresses that the host has
        for name, network in (
            ("cluster_pod_network", pods),
            ("cluster_service_network", services),
        ):
            if network and address in network:
                yield (
                    f"node_address of {node['name']} is {address}, which lies in "
                    f"{name} {network}"
                )


def _dns(value: Any, services: Network) -> Iterator[str]:
    try:
        address = ipaddress.IPv4Address(str(value))
    except ValueError:
        yield f"cluster_dns_address is {value!r}: give an IPv4 address in {services}"
        return
    taken = {
        services.network_address: "the network's own",
        services.network_address + 1: "the API server's",
        services.broadcast_address: "the network's last",
    }
    if address not in services:
        yield (
            f"cluster_dns_address {address} is not in cluster_service_network "
            f"{services}"
        )
    elif address in taken:
        yield f"cluster_dns_address {address} is {taken[address]}: give another"


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"network_problems": network_problems}
