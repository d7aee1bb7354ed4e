"""Karpenter's objects as our component renders them from settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.cluster.nodes.facts import KarpenterFacts
from components.cluster.nodes.node_pool_base import PoolName
from components.cluster.nodes.node_pool_settings import NodePool
from components.platform.node_pools import CORE, NodePools
from components.settings import Settings, parse
from slipway.rendering.render import render


class _Pools(Settings):
    pools: dict[PoolName, NodePool]
    """Pools by name."""


def rendered(
    pools: Mapping[str, Mapping[str, Any]], zones: tuple[str, ...]
) -> list[dict[str, Any]]:
    """NodePools and NodeOverlays of these pools, for a cluster with these zones."""
    settings = parse(_Pools, {"pools": pools}, "the test's pools")
    facts = KarpenterFacts(
        cluster_name="simulated",
        version="1.34",
        node_role_name="simulated-node",
        zones=zones,
    )

    def program() -> None:
        NodePools("node-pools", settings.pools, facts)

    found = render("platform.simulated", config={}, program=program)
    return [m for m in found.manifests if m["apiVersion"].startswith(f"{CORE}/")]
