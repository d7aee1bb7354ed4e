"""Rules of NetworkPolicies: default deny, and each allowance by its name.

Rules are plain manifests (camelCase). A policy sees a packet after a Service's address
was replaced by a pod's, so ports are the pods' own.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DNS_PORTS = (53, 1053, 5353)
"""Port of the DNS pods of usual clusters; ours use 1053 (no privilege)."""
API_SERVER_PORTS = (443, 6443)
ROLE_AGENT = ("169.254.170.23/32", (80,))
"""The node's agent that gives pods their roles in AWS.
https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html"""
KUBELET_PORT = 10250
METADATA = ("169.254.169.254/32", "fd00:ec2::254/128")
"""Address at which EC2 and other clouds provide a node's own credentials.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html"""
METADATA_PORT = 80
NAMESPACE_LABEL = "kubernetes.io/metadata.name"

Rule = dict[str, Any]

SAME_NAMESPACE: Rule = {"podSelector": {}}
"""A peer: all pods of the policy's own namespace."""


def ports(*numbers: int, protocols: tuple[str, ...] = ("TCP",)) -> list[Rule]:
    """The `ports` of a rule."""
    return [{"port": n, "protocol": p} for n in numbers for p in protocols]


def in_namespace(name: str, labels: Mapping[str, str] | None = None) -> Rule:
    """A peer: pods of the namespace, all or those with the labels."""
    peer: Rule = {"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: name}}}
    if labels:
        peer["podSelector"] = {"matchLabels": dict(labels)}
    return peer


EVERY_POD: Rule = {"namespaceSelector": {}}
"""A peer: pods of all namespaces. Pods on the hosts' network are none: they have a
node's address."""


def pods_of(program: str) -> Rule:
    """A peer: pods of the policy's own namespace that run this program."""
    return {"podSelector": {"matchLabels": {"app.kubernetes.io/name": program}}}


def in_namespaces_labelled(label: str, value: str = "true") -> Rule:
    """A peer: pods of every namespace with the label."""
    return {"namespaceSelector": {"matchLabels": {label: value}}}


def policy_spec_both(
    pods: Mapping[str, Any], *, ingress: Sequence[Rule], egress: Sequence[Rule]
) -> Rule:
    """The spec of a policy that denies all but these; `pods` is a selector.

    An empty list is left out: it says the same, and the API server drops it.
    """
    rules = {"ingress": list(ingress), "egress": list(egress)}
    return {
        "podSelector": dict(pods),
        "policyTypes": ["Ingress", "Egress"],
        **{key: value for key, value in rules.items() if value},
    }


def allow_from(*peers: Rule, to: tuple[int, ...]) -> Rule:
    """An ingress rule; without peers from anywhere."""
    rule: Rule = {"ports": ports(*to)}
    if peers:
        rule["from"] = list(peers)
    return rule


def allow_to(*peers: Rule, on: tuple[int, ...] = ()) -> Rule:
    """An egress rule; without peers to anywhere, without ports to all of them.

    Anywhere leaves out the metadata service.
    """
    rule: Rule = {}
    if not peers and (not on or METADATA_PORT in on):
        peers = (EVERY_POD, *(_all_but(address) for address in METADATA))
    if on:
        rule["ports"] = ports(*on)
    if peers:
        rule["to"] = list(peers)
    return rule


def _all_but(address: str) -> Rule:
    """A peer: every address of a kind but this one."""
    cidr = "::/0" if ":" in address else "0.0.0.0/0"
    return {"ipBlock": {"cidr": cidr, "except": [address]}}


def allow_dns() -> Rule:
    """Allow egress to the cluster's DNS."""
    return {
        "ports": ports(*DNS_PORTS, protocols=("UDP", "TCP")),
        "to": [in_namespace("kube-system")],
    }


def allow_object_stores() -> list[Rule]:
    """Allow egress to any HTTPS server, for object stores without fixed addresses."""
    return [
        allow_to({"ipBlock": {"cidr": "0.0.0.0/0"}}, on=(443,)),
        allow_role_agent(),
    ]


def allow_role_agent() -> Rule:
    """Allow egress to the node's agent that gives pods their roles in AWS."""
    address, numbers = ROLE_AGENT
    return allow_to({"ipBlock": {"cidr": address}}, on=numbers)


def allow_api_server() -> Rule:
    """Allow egress to the API server: it is not a pod, and its address is unknown."""
    return allow_to(on=API_SERVER_PORTS)
