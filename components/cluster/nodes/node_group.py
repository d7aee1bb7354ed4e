"""A managed node group: pools of kind system and reserved."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from components.cluster.iam.tags import tags
from components.cluster.nodes import amis, pool_nodes
from components.cluster.nodes.facts import ClusterFacts
from components.cluster.nodes.launch_template import launch_template
from components.cluster.nodes.reserved_pool import ReservedPool
from components.cluster.nodes.system_pool import SystemPool

EFFECTS = {
    "NoSchedule": "NO_SCHEDULE",
    "NoExecute": "NO_EXECUTE",
    "PreferNoSchedule": "PREFER_NO_SCHEDULE",
}


class NodeGroup(pulumi.ComponentResource):
    """Nodes that EKS keeps.

    Creates:

    - a cluster placement group, where it helps;
    - the launch template `<cluster>-<pool>`;
    - the node group, named as the pool: of a pinned release, repaired by EKS, one node
      at a time replaced. After creation, its size is left to the autoscaler.
    """

    def __init__(
        self,
        name: str,
        pool: SystemPool | ReservedPool,
        *,
        pool_name: str | None = None,
        cluster: ClusterFacts,
        node_role_arn: pulumi.Input[str],
        subnets: Mapping[str, pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`pool_name`: in the settings, if it is not `name`; `subnets`: by zone."""
        super().__init__("slipway:cluster:NodeGroup", name, None, opts)
        self._prefix, self._pool = name, pool
        self._pool_name = pool_name or name
        self._cluster = cluster
        self._physical = f"{cluster.name}-{self._pool_name}"
        zones = tuple(subnets)
        self.template = launch_template(
            name,
            pool,
            pool_name=self._pool_name,
            facts=cluster,
            placement_group=self._placement_group(zones),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.group = self._group(
            node_role_arn,
            [subnets[zone] for zone in pool_nodes.zones(pool, zones)],
        )
        self._warn()
        self.register_outputs({"arn": self.group.arn})

    def _warn(self) -> None:
        held = self._pool.reservation if isinstance(self._pool, ReservedPool) else None
        if held and (text := held.warning()):
            pulumi.log.warn(f"pools.{self._pool_name}: {text}", self)

    def _placement_group(self, zones: tuple[str, ...]) -> pulumi.Input[str] | None:
        """The group's name: of its own, or the one that the reservation lies in."""
        pool = self._pool
        held = pool.reservation if isinstance(pool, ReservedPool) else None
        if held and held.placement_group:
            return held.placement_group
        if not pool_nodes.own_placement_group(pool, zones):
            return None
        group = aws.ec2.PlacementGroup(
            self._prefix,
            name=self._physical,
            strategy="cluster",
            tags=tags(self._cluster.name, self._physical),
            opts=pulumi.ResourceOptions(parent=self),
        )
        own: pulumi.Output[str] = group.name
        return own

    def _group(
        self, node_role_arn: pulumi.Input[str], subnets: list[pulumi.Input[str]]
    ) -> aws.eks.NodeGroup:
        pool, cluster = self._pool, self._cluster
        lock = amis.lock()
        held = pool.reservation if isinstance(pool, ReservedPool) else None
        block = bool(held and held.kind == "capacity_block")
        return aws.eks.NodeGroup(
            self._prefix,
            cluster_name=cluster.name,
            node_group_name=self._pool_name,
            node_role_arn=node_role_arn,
            subnet_ids=subnets,
            version=cluster.version,
            release_version=lock.release_version(cluster.version),
            ami_type=lock.image(pool_nodes.ami(pool)).ami_type,
            capacity_type="CAPACITY_BLOCK" if block else "ON_DEMAND",
            # A block's type is in the template, as EKS wants it.
            instance_types=None if block else list(pool.instance_types),
            scaling_config={
                "min_size": pool.min_nodes,
                "max_size": pool.max_nodes,
                "desired_size": pool.min_nodes,
            },
            # Without spare capacity, an old node is removed before its replacement
            # starts.
            update_config={
                "max_unavailable": 1,
                "update_strategy": "MINIMAL" if held else "DEFAULT",
            },
            node_repair_config={"enabled": True},
            labels=pool_nodes.labels(self._pool_name, pool),
            taints=[
                {"key": t.key, "value": t.value or None, "effect": EFFECTS[t.effect]}
                for t in pool_nodes.taints(pool)
            ],
            launch_template={
                "id": self.template.id,
                "version": self.template.latest_version.apply(str),
            },
            tags=tags(cluster.name, self._physical),
            opts=pulumi.ResourceOptions(
                parent=self, ignore_changes=["scalingConfig.desiredSize"]
            ),
        )
