"""Checks of the pools against their location: region, zones, version.

Paths begin with `pools.`, as in the settings of a stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from components import catalog
from components.cluster.nodes import amis, pool_nodes
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.reserved_pool import ReservedPool
from components.cluster.nodes.system_pool import SystemPool
from components.settings import ABSENT, Problem


@dataclass(frozen=True)
class Place:
    """The location of a stack's pools."""

    region: str
    zones: Sequence[str]
    """The network's."""
    version: str
    """Version of Kubernetes, for example 1.34."""


def problems(pools: Mapping[str, NodePoolBase], place: Place) -> Iterator[Problem]:
    """All that is wrong between the pools and their place."""
    yield from _system(pools)
    yield from _release(pools, place)
    for name, pool in pools.items():
        path = f"pools.{name}"
        yield from _zones(path, pool, place)
        yield from _offered(path, pool, place)
        yield from _group(path, pool, place)
        yield from _adapters(path, pool, place)
        yield from _driver(path, pool)


def _system(pools: Mapping[str, NodePoolBase]) -> Iterator[Problem]:
    if not any(isinstance(pool, SystemPool) for pool in pools.values()):
        yield Problem(
            "pools",
            sorted(pools),
            "no pool is of kind system, so nothing would run CoreDNS and Karpenter",
            "add one, for example system: {kind: system, instance_types: [m7i.large]}",
        )


def _release(pools: Mapping[str, NodePoolBase], place: Place) -> Iterator[Problem]:
    try:
        amis.lock().release_version(place.version)
    except amis.UnknownAmiError as error:
        if pools:
            yield Problem("cluster.version", place.version, error.reason, error.fix)


def _zones(path: str, pool: NodePoolBase, place: Place) -> Iterator[Problem]:
    network = ", ".join(place.zones)
    for index, zone in enumerate(pool.zones):
        if zone not in place.zones:
            yield Problem(
                f"{path}.zones.{index}",
                zone,
                f"the network has no subnet there; its zones are {network}",
                "give one of these, or add the zone to network.zones",
            )
    held = pool.reservation if isinstance(pool, ReservedPool) else None
    if held and held.zone not in place.zones:
        yield Problem(
            f"{path}.reservation.zone",
            held.zone,
            f"the network has no subnet there; its zones are {network}",
            "add the zone to network.zones",
        )


def _offered(path: str, pool: NodePoolBase, place: Place) -> Iterator[Problem]:
    """By the catalogue; zones' letters differ between accounts, so doctor asks again.

    Hence only a type that none of the pool's zones offers is refused; a reservation
    proves by itself that its zone has the type.
    """
    if place.region not in catalog.regions():
        return
    if isinstance(pool, ReservedPool) and pool.reservation:
        return
    zones = pool_nodes.zones(pool, tuple(place.zones))
    for index, name in enumerate(pool.instance_types):
        offered = catalog.offered(name, place.region)
        where = f"{path}.instance_types.{index}"
        if not offered:
            others = [r for r in catalog.regions() if catalog.offered(name, r)]
            known = f"; regions that do: {', '.join(others[:6])}" if others else ""
            yield Problem(
                where,
                name,
                f"{place.region} does not offer it, as of {_day()}",
                f"give a type that the region offers{known}; if the region offers it "
                f"by now, {_renewal(place.region)}",
            )
        elif not set(offered) & set(zones):
            yield Problem(
                where,
                name,
                f"none of the pool's zones offers it ({', '.join(zones)}), as of "
                f"{_day()}",
                f"zones that do: {', '.join(offered)}; if your account names its "
                f"zones differently, {_renewal(place.region)}",
            )


def _day() -> str:
    return str(catalog.sources()["offerings.json"][1])


def _renewal(region: str) -> str:
    return f"run `slipway catalog refresh --region {region}`"


def _group(path: str, pool: NodePoolBase, place: Place) -> Iterator[Problem]:
    if not isinstance(pool, ReservedPool) or not pool.placement_group:
        return
    if pool.reservation is None and not pool.zones and len(place.zones) > 1:
        yield Problem(
            f"{path}.placement_group",
            value=True,
            reason="a cluster placement group is in one zone, and without zones the "
            f"pool uses all {len(place.zones)} of the network",
            fix="give one zone, or remove it",
        )


def _adapters(path: str, pool: NodePoolBase, place: Place) -> Iterator[Problem]:
    """EFA between zones, where its traffic does not pass.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa.html#efa-limits
    """
    zones = pool_nodes.zones(pool, tuple(place.zones))
    if not isinstance(pool, ReservedPool) or len(zones) < 2:
        return
    if pool_nodes.efa(pool):
        default = "" if pool.efa else " by default"
        yield Problem(
            f"{path}.efa",
            value=True if pool.efa else ABSENT,
            reason=f"the nodes get Elastic Fabric Adapters{default} and may be in "
            f"{len(zones)} zones, between which their traffic does not pass",
            fix="give one zone by zones, or set efa: false",
        )


def _driver(path: str, pool: NodePoolBase) -> Iterator[Problem]:
    """The image's driver must know the GPU."""
    types = pool_nodes.types(pool)
    image = amis.lock().image(pool_nodes.ami(pool))
    for index, t in enumerate(types):
        if t.gpu is None or image.driver is None:
            continue
        least = catalog.accelerator(t.gpu.model).minimum_driver
        if least and parts(image.driver) < parts(least):
            yield Problem(
                f"{path}.instance_types.{index}",
                t.name,
                f"its {t.gpu.model} needs driver {least} or newer, but {image.key} "
                f"has {image.driver} (release {amis.lock().tag})",
                f"pin a newer release in {amis.LOCK.name}, or give another type",
            )


def parts(version: str) -> tuple[int, ...]:
    """A driver version as numbers, for comparison."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())
