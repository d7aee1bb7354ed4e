"""What the platform's settings state about the cluster's nodes.

The pools are settings of the stack that makes the cluster, so that a preview knows
them before there is a cluster. Where Terraform or others made it, the platform's own
settings say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from components.cluster.iam import names
from components.cluster.iam.tags import CLUSTER_TAG
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.facts import KarpenterFacts
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.settings import ClusterSettings
from components.platform.gpu import layouts
from components.platform.settings import PlatformSettings
from components.settings import Problem


@dataclass(frozen=True)
class Nodes:
    """The cluster's pools, and the AWS half of what makes nodes for them."""

    pools: Mapping[str, NodePoolBase]
    """All pools by name."""
    karpenter: KarpenterFacts | None = None
    """Values for the elastic pools' objects; none if nothing creates nodes."""
    interruption_queue: str = ""
    """Name of the queue with EC2's interruption events."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of what controllers make in the AWS account."""

    @property
    def elastic(self) -> dict[str, ElasticPool]:
        """The pools whose nodes Karpenter makes."""
        return {n: p for n, p in self.pools.items() if isinstance(p, ElasticPool)}

    @property
    def shares_gpus(self) -> bool:
        """Return whether any elastic pool's GPUs are sliced or shared."""
        return any(pool.gpu.mode != "whole" for pool in self.elastic.values())

    @property
    def with_gpus(self) -> dict[str, NodePoolBase]:
        """The pools with GPUs of NVIDIA's."""
        return {n: p for n, p in self.pools.items() if layouts.has_nvidia(p)}


def of_stack(settings: ClusterSettings) -> Nodes:
    """The nodes of a cluster that a stack of this project makes."""
    cluster = settings.cluster.name
    tags = {**settings.account.tags, CLUSTER_TAG: cluster}
    facts = KarpenterFacts(
        cluster_name=cluster,
        version=settings.cluster.version,
        node_role_name=names.node_role(cluster),
        zones=settings.network.zones,
        tags=tags,
        instance_profile=names.node_profile(cluster),
        isolated=settings.network.existing is None and settings.network.nat == "none",
    )
    return Nodes(settings.pools, facts, names.interruption_queue(cluster), tags)


def of_platform(settings: PlatformSettings) -> Nodes:
    """The nodes of any other cluster, as the platform's settings have them."""
    given = settings.karpenter.cluster
    if given is None:
        return Nodes(settings.node_pools)
    tags = {CLUSTER_TAG: given.name}
    facts = KarpenterFacts(
        cluster_name=given.name,
        version=given.version,
        node_role_name=given.node_role,
        zones=given.zones,
        tags=tags,
    )
    return Nodes(settings.node_pools, facts, given.interruption_queue, tags)


def problems(settings: PlatformSettings, nodes: Nodes) -> Iterator[Problem]:
    """Report mismatches between the platform's parts and the cluster's pools."""
    if nodes.elastic and not settings.karpenter.enabled:
        yield Problem(
            path="karpenter.enabled",
            value=False,
            reason=f"the pools {', '.join(sorted(nodes.elastic))} are elastic, and "
            "nothing would create their nodes",
            fix="set it to true, or leave no elastic pools",
        )
    for path, part in (
        ("gpu.device_plugin.enabled", settings.gpu.device_plugin),
        ("gpu.dcgm_exporter.enabled", settings.gpu.dcgm_exporter),
    ):
        if part.enabled and not nodes.with_gpus:
            yield Problem(
                path=path,
                value=True,
                reason="no pool has NVIDIA GPUs",
                fix="remove it, or add a pool with GPU types to the cluster",
            )
