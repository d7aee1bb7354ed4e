"""Checks between the parts of a cluster that are each valid.

They run before anything is created; paths are those of the stack's settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from components.cluster import identity_settings, network_checks, production_rules
from components.cluster.cluster_parts import ClusterParts
from components.cluster.eks_settings import EksSettings
from components.cluster.iam.arns import Arns
from components.cluster.network.cidr import NamedRange
from components.cluster.nodes import node_demand, pool_places, system_demand
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.reserved_pool import ReservedPool
from components.cluster.storage import storage_names
from components.settings import Problem


def problems(settings: ClusterParts) -> Iterator[Problem]:
    """Report all problems."""
    account, cluster, network = settings.account, settings.cluster, settings.network
    arns = Arns(account.id, account.region)
    yield from storage_names.problems(cluster.name, arns)
    yield from network_checks.problems(
        network,
        region=account.region,
        service_cidr=NamedRange("cluster.service_cidr", cluster.service_cidr),
        cni_version=cluster.addon_version("vpc-cni"),
        others=list(_ranges_elsewhere(cluster)),
        demands=list(node_demand.of_pools(settings.pools, network.zones)),
    )
    place = pool_places.Place(account.region, network.zones, cluster.version)
    yield from pool_places.problems(settings.pools, place)
    yield from system_demand.problems(settings.pools)
    yield from _principals(cluster, arns)
    yield from _reservations(settings.pools)
    for problem in identity_settings.problems(
        settings.identities, settings.storage.repositories
    ):
        yield replace(problem, path=f"identities.{problem.path}")
    if account.production:
        yield from production_rules.problems(settings)


def _ranges_elsewhere(cluster: EksSettings) -> Iterator[NamedRange]:
    """Report ranges of hybrid nodes in the VPC, which packets would never leave."""
    if hybrid := cluster.hybrid_nodes:
        for name in ("node_cidrs", "pod_cidrs"):
            for index, cidr in enumerate(getattr(hybrid, name)):
                yield NamedRange(f"cluster.hybrid_nodes.{name}.{index}", cidr)


def _principals(cluster: EksSettings, arns: Arns) -> Iterator[Problem]:
    for name in ("administrators", "viewers"):
        for index, role in enumerate(getattr(cluster, name)):
            partition = role.split(":")[1]
            if partition != arns.partition:
                yield Problem(
                    path=f"cluster.{name}.{index}",
                    value=role,
                    reason=f"it is in the partition {partition}, but {arns.region} is "
                    f"in {arns.partition}: partitions share no identities",
                    fix=f"give a role of the account {arns.account}: "
                    f"{arns.role('<name>')}",
                )


def _reservations(pools: Mapping[str, NodePoolBase]) -> Iterator[Problem]:
    """Report a reservation of several pools: only one of them would get nodes."""
    seen: dict[str, str] = {}
    for path, reservation in _reserved(pools):
        if reservation in seen:
            yield Problem(
                path=path,
                value=reservation,
                reason=f"{seen[reservation]} uses the same reservation, and capacity "
                "that one pool uses is not available to the other",
                fix="give each pool its own reservation (EC2 can split one), or merge "
                "the pools",
            )
        seen.setdefault(reservation, path)


def _reserved(pools: Mapping[str, NodePoolBase]) -> Iterator[tuple[str, str]]:
    for name, pool in pools.items():
        if isinstance(pool, ReservedPool) and pool.reservation:
            yield f"pools.{name}.reservation.id", pool.reservation.id
        if isinstance(pool, ElasticPool):
            for index, reservation in enumerate(pool.reservations):
                yield f"pools.{name}.reservations.{index}", reservation
