"""Pools of nodes as settings, and what is rendered from them."""

from __future__ import annotations

from typing import Any

from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.facts import ClusterFacts, KarpenterFacts
from components.cluster.nodes.node_group import NodeGroup
from components.cluster.nodes.node_pool_base import NodePoolBase, PoolName
from components.cluster.nodes.node_pool_settings import NodePool
from components.cluster.nodes.reserved_pool import ReservedPool
from components.cluster.nodes.system_pool import SystemPool
from components.platform import node_pools
from components.settings import Settings, parse
from slipway.rendering.render import Rendered
from tests.support.aws_rendered import CLUSTER, rendered

ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
SUBNETS = {zone: f"subnet-{zone[-1]}" for zone in ZONES}
RESERVATION = "cr-0123456789abcdef0"
SYSTEM = {"kind": "system", "instance_types": ["m7i.large"]}
H100 = {
    "kind": "reserved",
    "instance_types": ["p5.48xlarge"],
    "min_nodes": 2,
    "max_nodes": 2,
}
HELD = {"id": RESERVATION, "instances": 2, "zone": ZONES[1]}
BLOCK = {**HELD, "kind": "capacity_block", "ends_at": "2999-12-24T11:30:00Z"}
ELASTIC = {"kind": "elastic", "instance_types": ["g6.xlarge"], "max_gpus": 4}
FACTS = ClusterFacts(
    name=CLUSTER,
    version="1.34",
    security_group_id="sg-0123456789abcdef0",
    tags={"environment": "test"},
)
KARPENTER = KarpenterFacts(
    cluster_name=CLUSTER,
    version="1.34",
    node_role_name=f"{CLUSTER}-node",
    zones=ZONES,
    tags={"environment": "test"},
    instance_profile=f"{CLUSTER}-node",
)
ROLE = f"arn:aws:iam::111122223333:role/{CLUSTER}-node"


class Pools(Settings):
    """As a stack has them."""

    pools: dict[PoolName, NodePool]
    """Pools by name."""


def pool(config: dict[str, Any]) -> NodePoolBase:
    """One pool of these settings."""
    return parse(Pools, {"pools": {"gpu": config}}, "test").pools["gpu"]


def group(config: dict[str, Any], name: str = "gpu") -> Rendered:
    """The managed node group of a pool."""
    chosen = pool(config)
    assert isinstance(chosen, SystemPool | ReservedPool)

    def program() -> None:
        NodeGroup(name, chosen, cluster=FACTS, node_role_arn=ROLE, subnets=SUBNETS)

    return rendered(program)


def objects(config: dict[str, Any], name: str = "gpu") -> dict[str, Any]:
    """Karpenter's objects of a pool, by kind; of overlays the last."""
    chosen = pool(config)
    assert isinstance(chosen, ElasticPool)
    return {o["kind"]: o for o in node_pools.rendered(name, chosen, KARPENTER)}
