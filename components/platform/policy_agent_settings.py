"""What can be chosen about the enforcement of network policies."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.part_settings import PartSettings


class PolicyAgentSettings(PartSettings):
    """Our agent that enforces NetworkPolicies on each node by nftables.

    Off by default, as most clusters' networks enforce them (EKS: the VPC CNI, which the
    layer `cluster` turns on).
    """

    enabled: bool = False
    """True where pods' traffic is routed by their nodes and nothing enforces policies,
    like the lab."""
    image: str = "policy-agent"
    """The agent. A short name of images.lock, or by digest."""
    pod_interfaces: Annotated[str, Field(pattern=r"^[a-z][a-z0-9._-]{0,13}\*?$")] = (
        "veth*"
    )
    """Names of the nodes' ends of pods' cables, as the network plugin gives them; what
    comes from one with an address of no known pod is let nowhere."""
