"""Properties of the cluster that node pools need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi


@dataclass(frozen=True)
class ClusterFacts:
    """Facts about the cluster that a managed node group needs."""

    name: str
    """The cluster's name, as the settings have it."""
    version: str
    """Kubernetes' minor version, for example 1.34."""
    security_group_id: pulumi.Input[str]
    """The group that EKS made for the cluster: nodes and control plane are in it."""
    endpoint: pulumi.Input[str] = ""
    certificate_authority: pulumi.Input[str] = ""
    """Base64, as EKS says it."""
    service_cidr: pulumi.Input[str] = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of instances, volumes and interfaces: a provider's default tags do not
    reach what a launch template makes."""


@dataclass(frozen=True)
class KarpenterFacts:
    """Values that Karpenter's objects need: all from settings, none looked up."""

    cluster_name: str
    """Subnets and security groups have it in the tag `karpenter.sh/discovery`."""
    version: str
    """Kubernetes' minor version: it decides the AMI release."""
    node_role_name: str
    """The role of nodes."""
    zones: tuple[str, ...]
    """The network's zones: those of pools that name none."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of what Karpenter launches, beside those that it sets itself."""
    instance_profile: str = ""
    """The instance profile with the role; empty: Karpenter makes one by IAM."""
    isolated: bool = False
    """Whether the VPC reaches AWS only through endpoints: IAM and the price list have
    none and must not be used."""
