"""Requirements for a cluster in production (`account.production`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, collapse_addresses

from components.cluster.cluster_parts import ClusterParts
from components.cluster.nodes.system_pool import SystemPool
from components.settings import Problem

LEAST_NODES = 2
LEAST_LOG_DAYS = 90
LEAST_RECORD_DAYS = 30
"""Of connections and of containers' lines, which are many."""
WIDEST_PREFIX = 16
"""Widest range that may reach the API server: 65,536 addresses."""
OR_ELSE = "or set account.production: false"


def problems(settings: ClusterParts) -> Iterator[Problem]:
    """Report where the settings do not meet the requirements."""
    yield from _network(settings)
    yield from _protection(settings)
    yield from _reach(settings)
    yield from _system_pools(settings)


def _network(settings: ClusterParts) -> Iterator[Problem]:
    network = settings.network
    if not network.makes_vpc:
        return
    if network.nat == "single":
        yield Problem(
            path="network.nat",
            value=network.nat,
            reason="production: the failure of one zone would cut off outbound "
            "traffic in all zones",
            fix=f"set nat: per_zone, {OR_ELSE}",
        )
    if not network.flow_logs.enabled:
        yield Problem(
            path="network.flow_logs.enabled",
            value=False,
            reason="production: without flow logs, connections cannot be traced after "
            "an incident",
            fix=f"set it to true, {OR_ELSE}",
        )
    elif network.flow_logs.retention_days < LEAST_RECORD_DAYS:
        yield too_short("network.flow_logs", network.flow_logs.retention_days)


def too_short(path: str, days: int) -> Problem:
    """Report logs that are kept too briefly."""
    return Problem(
        path=f"{path}.retention_days",
        value=days,
        reason="production: incidents are often found later than that, and nothing to "
        "trace them by would be left",
        fix=f"give at least {LEAST_RECORD_DAYS}, {OR_ELSE}",
    )


def _protection(settings: ClusterParts) -> Iterator[Problem]:
    for path, protected in (
        ("cluster.deletion_protection", settings.cluster.deletion_protection),
        ("storage.protect", settings.storage.protect),
    ):
        if not protected:
            yield Problem(
                path=path,
                value=False,
                reason="production: one command could delete what other stacks depend "
                "on",
                fix=f"remove it, {OR_ELSE}",
            )
    if settings.cluster.log_retention_days < LEAST_LOG_DAYS:
        yield Problem(
            path="cluster.log_retention_days",
            value=settings.cluster.log_retention_days,
            reason="production: incidents are often found later than that, and the "
            "audit log is the only record",
            fix=f"give at least {LEAST_LOG_DAYS}, {OR_ELSE}",
        )


def _reach(settings: ClusterParts) -> Iterator[Problem]:
    cluster = settings.cluster
    for name in ("public_access_cidrs", "private_access_cidrs"):
        yield from _too_wide(f"cluster.{name}", getattr(cluster, name))
    cni = cluster.addons.get("vpc-cni")
    enforced = cni.configuration.get("enableNetworkPolicy", "true") if cni else "true"
    if str(enforced).lower() != "true":
        yield Problem(
            path="cluster.addons.vpc-cni.configuration.enableNetworkPolicy",
            value=enforced,
            reason="production: no NetworkPolicy would be enforced, so every pod could "
            "call every other",
            fix=f"remove it, {OR_ELSE}",
        )


def _too_wide(path: str, cidrs: Sequence[str]) -> Iterator[Problem]:
    """Ranges that are too wide, and smaller ones that are one such range in pieces."""
    reached = "hosts than anyone deploys from would reach the API server"
    ranges = [IPv4Network(cidr) for cidr in cidrs]
    for number, given in enumerate(ranges):
        if given.prefixlen < WIDEST_PREFIX:
            yield Problem(
                path=f"{path}.{number}",
                value=str(given),
                reason=f"production: more {reached}",
                fix=f"give ranges of /{WIDEST_PREFIX} or smaller, {OR_ELSE}",
            )
    # Each /16 is allowed beside others, so only what is smaller counts as a piece.
    pieces = [it for it in ranges if it.prefixlen > WIDEST_PREFIX]
    for whole in collapse_addresses(pieces):
        if whole.prefixlen < WIDEST_PREFIX:
            yield Problem(
                path=path,
                value=[str(it) for it in pieces if it.subnet_of(whole)],
                reason=f"production: together they are {whole}, and more {reached}",
                fix=f"give only the ranges that you deploy from, {OR_ELSE}",
            )


def _system_pools(settings: ClusterParts) -> Iterator[Problem]:
    pools = {n: p for n, p in settings.pools.items() if isinstance(p, SystemPool)}
    for name, pool in pools.items():
        if pool.min_nodes < LEAST_NODES:
            yield Problem(
                path=f"pools.{name}.min_nodes",
                value=pool.min_nodes,
                reason="production: if its only node fails, DNS and Karpenter are down",
                fix=f"give at least {LEAST_NODES}, {OR_ELSE}",
            )
        zones = pool.zones or settings.network.zones
        if len(zones) < LEAST_NODES:
            yield Problem(
                path=f"pools.{name}.zones",
                value=list(zones),
                reason="production: if its only zone fails, DNS and Karpenter are down",
                fix=f"give two, or remove zones, {OR_ELSE}",
            )
