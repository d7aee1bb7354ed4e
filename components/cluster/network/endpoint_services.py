"""AWS services that a VPC reaches through endpoints, and who in a cluster needs them.

https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html
https://karpenter.sh/docs/getting-started/getting-started-with-karpenter/#private-clusters
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

EndpointService = Literal[
    "s3",
    "ecr.api",
    "ecr.dkr",
    "sts",
    "ec2",
    "logs",
    "ssm",
    "ssmmessages",
    "ec2messages",
    "eks",
    "eks-auth",
    "autoscaling",
    "elasticloadbalancing",
    "sqs",
]
"""The end of the service's name: com.amazonaws.<region>.<this>."""


@dataclass(frozen=True)
class Facts:
    """Properties of an endpoint's service."""

    kind: Literal["Gateway", "Interface"]
    """A gateway is a route and free; an interface is an address in each zone."""
    caller: str
    needed_without_nat: bool
    takes_policy: bool = True
    """Whether the service's endpoint supports a policy.
    https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html"""


ENDPOINT_SERVICES: dict[EndpointService, Facts] = {
    "s3": Facts("Gateway", "image layers of ECR, models, prediction logs", True),
    "ecr.api": Facts("Interface", "kubelets that ask for a registry token", True),
    "ecr.dkr": Facts("Interface", "kubelets that pull images", True),
    "sts": Facts(
        "Interface", "everything that assumes a role or looks up its own identity", True
    ),
    "ec2": Facts("Interface", "vpc-cni, EBS driver, Karpenter, nodes at boot", True),
    "logs": Facts("Interface", "agents that write to CloudWatch", False),
    "ssm": Facts("Interface", "Karpenter (AMI aliases), Session Manager", True),
    "ssmmessages": Facts("Interface", "Session Manager on a node", False),
    "ec2messages": Facts("Interface", "SSM agents of before version 3.3.40", False),
    "eks": Facts("Interface", "nodes at boot, Karpenter", True),
    "eks-auth": Facts("Interface", "the pod identity agent", True, takes_policy=False),
    "autoscaling": Facts("Interface", "tools that look at managed groups", False),
    "elasticloadbalancing": Facts("Interface", "the load balancer controller", False),
    "sqs": Facts("Interface", "Karpenter's queue of interruptions", True),
}


def needed_without_nat() -> Iterator[EndpointService]:
    """Services without which a cluster that has no NAT cannot work."""
    for name, facts in ENDPOINT_SERVICES.items():
        if facts.needed_without_nat:
            yield name
