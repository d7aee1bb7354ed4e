"""Ports of a host that two programs would listen on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TAKEN = {
    22: "sshd",
    2379: "etcd",
    2380: "etcd",
    10248: "the kubelet",
    10249: "kube-proxy",
    10250: "the kubelet",
    10256: "kube-proxy",
    10257: "kube-controller-manager",
    10259: "kube-scheduler",
}
"""https://kubernetes.io/docs/reference/networking/ports-and-protocols/"""
NODE_PORTS = range(30000, 32768)
"""The API server's default of --service-node-port-range."""


def port_problems(api_port: Any, registry_address: str = "") -> list[str]:
    """What cannot be of cluster_api_port and registry_address.

    The latter is empty where the host is not that of the registry.
    """
    found: list[str] = []
    ports: dict[int, str] = {}
    wanted = [("cluster_api_port", api_port)]
    if registry_address:
        wanted.append(("registry_address", registry_address.rpartition(":")[2]))
    for name, value in wanted:
        port = int(value) if str(value).isdigit() else 0
        if not 0 < port < 65536:
            found.append(f"{name} has the port {value!r}: give one from 1 to 65535")
        elif port in TAKEN:
            found.append(f"{name} has the port {port}, which is {TAKEN[port]}'s")
        elif port in NODE_PORTS:
            found.append(f"{name} has the port {port}, which Services may get on nodes")
        elif port in ports:
            found.append(f"{name} has the port {port}, and so has {ports[port]}")
        ports.setdefault(port, name)
    return found


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"port_problems": port_problems}
