"""Settings of the node autoscaler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from components.cluster.network.network_settings import Zone
from components.part_settings import PartSettings
from components.setting_types import DnsLabel, Whole
from components.settings import Problem, Settings


class KarpenterCluster(Settings):
    """The AWS half of Karpenter, where no stack of this project makes it."""

    name: DnsLabel
    """Name of the EKS cluster."""
    version: Annotated[str, Field(pattern=r"^1\.[0-9]{2}$")]
    """Kubernetes' minor version, for example "1.34" in quotes: it decides the image of
    new nodes."""
    zones: Annotated[tuple[Zone, ...], Field(min_length=1)]
    """Zones with subnets that have the tag karpenter.sh/discovery: <name>."""
    node_role: Annotated[str, Field(min_length=1, max_length=64)]
    """Name (no ARN) of the IAM role of the nodes that Karpenter starts."""
    interruption_queue: Annotated[str, Field(min_length=1, max_length=80)]
    """Name of the SQS queue that gets EC2's interruption events."""


class KarpenterSettings(PartSettings):
    """The controller that starts and ends nodes of elastic pools; needs AWS."""

    enabled: bool = False
    """True on EKS, where pods wait for nodes of elastic pools."""
    image: str = "karpenter"
    """Karpenter's controller for AWS, of the release that
    toolchain/binaries/karpenter-aws pins. A short name of images.lock, or by digest."""
    replicas: Annotated[Whole, Field(ge=1, le=3)] = 2
    """Pods of the controller, on different nodes of the system pool; one is active, the
    others are on standby."""
    retain: bool = True
    """Keeps the CRDs at `destroy`: deleting one deletes all its objects, and with them
    every node of elastic pools, including those of others."""
    cluster: KarpenterCluster | None = None
    """The cluster, with `cluster.kubeconfig` or `cluster.terraform`; with
    `cluster.stack` it is read from that stack."""

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if self.cluster and not self.enabled:
            yield Problem(
                path="cluster",
                value=self.cluster.name,
                reason="Karpenter is not enabled",
                fix="set enabled: true, or remove cluster",
            )
