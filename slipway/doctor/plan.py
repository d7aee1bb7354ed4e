"""What a cluster's stack needs of its account, derived from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.cluster.addon_versions import PINNED
from components.cluster.iam.arns import Arns
from components.cluster.network.network_settings import NetworkSettings
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.reserved_pool import ReservedPool
from components.cluster.settings import ClusterSettings
from slipway import stack_settings
from slipway.rendering import render


@dataclass(frozen=True)
class Registered:
    """An AWS resource that the stack registers."""

    type: str
    """Pulumi's token, for example `aws:ec2/vpc:Vpc`."""
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """The parts of a stack's settings that depend on the account."""

    stack: str
    account: str
    """12 digits."""
    region: str
    cluster: str
    """Name of the cluster."""
    version: str
    """Kubernetes' minor version."""
    network: NetworkSettings
    pools: Mapping[str, NodePoolBase] = field(default_factory=dict)
    addons: Mapping[str, str] = field(default_factory=dict)
    """Full version by add-on."""
    resources: tuple[Registered, ...] = ()
    """What the stack registers with the AWS provider."""
    extended_support: bool = False

    @property
    def arns(self) -> Arns:
        return Arns(self.account, self.region)

    def zones(self, pool: NodePoolBase) -> tuple[str, ...]:
        """The zones that the pool's nodes may be in."""
        if isinstance(pool, ReservedPool) and pool.reservation:
            return (pool.reservation.zone,)
        return pool.zones or self.network.zones


def of_stack(stack: str) -> Plan:
    """The plan of a stack `cluster.<environment>`; raises what its settings refuse."""
    settings = stack_settings.load(stack, ClusterSettings)
    registered = render.render(stack).cloud
    return of_settings(
        stack,
        settings,
        tuple(Registered(one["type"], one["inputs"]) for one in registered),
    )


def of_settings(
    stack: str, settings: ClusterSettings, resources: tuple[Registered, ...] = ()
) -> Plan:
    """The plan of settings that were parsed already."""
    cluster = settings.cluster
    addons: dict[str, str] = dict(PINNED.get(cluster.version, {}))
    addons |= {k: addon.version for k, addon in cluster.addons.items() if addon.version}
    return Plan(
        stack=stack,
        account=settings.account.id,
        region=settings.account.region,
        cluster=cluster.name,
        version=cluster.version,
        network=settings.network,
        pools=settings.pools,
        addons=addons,
        resources=resources,
        extended_support=cluster.extended_support,
    )
