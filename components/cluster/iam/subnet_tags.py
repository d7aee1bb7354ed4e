"""Subnet tags that controllers require; an existing VPC's subnets need the same."""

from __future__ import annotations

KARPENTER_DISCOVERY = "karpenter.sh/discovery"
"""Tag by which Karpenter's node classes find subnets and security groups.
https://karpenter.sh/docs/concepts/nodeclasses/#specsubnetselectorterms"""
LOAD_BALANCERS = {
    "public": "kubernetes.io/role/elb",
    "private": "kubernetes.io/role/internal-elb",
}
"""https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html#network-requirements-subnets"""
PODS = "kubernetes.io/role/cni"
"""Tag by which vpc-cni finds subnets for pods: "1" on additional ones, "0" on the
node's own subnet keeps pods out of it (1.22 and newer).
https://docs.aws.amazon.com/eks/latest/userguide/cni-subnet-selection.html"""


def subnet_tags(
    kind: str, cluster: str, *, pods_elsewhere: bool = False
) -> dict[str, str]:
    """Tags of a `private`, `public`, `intra` or `pods` subnet for controllers.

    `pods_elsewhere`: whether there are subnets of the kind `pods`.
    """
    found: dict[str, str] = {}
    if kind in LOAD_BALANCERS:
        found[LOAD_BALANCERS[kind]] = "1"
        found[f"kubernetes.io/cluster/{cluster}"] = "shared"
    if kind == "private":
        found[KARPENTER_DISCOVERY] = cluster
        if pods_elsewhere:
            found[PODS] = "0"
    if kind == "pods":
        found[PODS] = "1"
    return found
