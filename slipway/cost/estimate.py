"""Floor and ceiling of what a cluster's settings cost an hour.

The floor is what always runs, the ceiling what the pools' limits admit. Prices on
demand come from the catalogue with their date; an unknown price is listed as unknown,
never counted as 0, and makes the sum a minimum. Data transfer, storage, logs and
requests are not in it: they depend on use.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from components import catalog
from components.cluster import kubernetes_support
from components.cluster.network.endpoint_services import ENDPOINT_SERVICES
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.pool_reach import Reach, reach
from components.cluster.nodes.reserved_pool import ReservedPool
from components.cluster.settings import ClusterSettings
from components.yaml_text import read

HOURS_PER_MONTH = 730
"""A year's hours by twelve, as AWS's own calculator has it."""
FIXED = Path(__file__).with_name("fixed_prices.yaml")


@dataclass(frozen=True)
class Amount:
    """US dollars an hour, and the items without a price."""

    usd_per_hour: float = 0.0
    unknown: tuple[str, ...] = ()
    """Items without a known price: the amount is then a minimum."""

    def __add__(self, other: Amount) -> Amount:
        unknown = dict.fromkeys((*self.unknown, *other.unknown))
        return Amount(self.usd_per_hour + other.usd_per_hour, tuple(unknown))

    @property
    def usd_per_month(self) -> float:
        """US dollars for 730 hours."""
        return self.usd_per_hour * HOURS_PER_MONTH


@dataclass(frozen=True)
class Line:
    """One row of the estimate."""

    name: str
    what: str
    floor: Amount
    ceiling: Amount
    note: str = ""


@dataclass(frozen=True)
class Estimate:
    """The costs of a stack."""

    stack: str
    region: str
    lines: tuple[Line, ...]
    sources: tuple[tuple[str, date], ...]
    """Sources of the prices, with their dates."""

    @property
    def floor(self) -> Amount:
        """Return the cost of what always runs."""
        return total(line.floor for line in self.lines)

    @property
    def ceiling(self) -> Amount:
        """Return the cost at the limits."""
        return total(line.ceiling for line in self.lines)


def total(amounts: Iterable[Amount]) -> Amount:
    """Return their sum, with all unknown items."""
    result = Amount()
    for amount in amounts:
        result += amount
    return result


def estimate(stack: str, settings: ClusterSettings) -> Estimate:
    """What the settings of a stack `cluster.<environment>` cost."""
    region = settings.account.region
    pools = [_pool(name, pool, region) for name, pool in settings.pools.items()]
    prices = {
        (price.source, price.as_of)
        for pool in settings.pools.values()
        for name in pool.instance_types
        if (price := catalog.price(name, region))
    }
    held = _fixed_prices()
    fixed = (f"{held['source']} (no other region's are known)", held["date"])
    return Estimate(
        stack=stack,
        region=region,
        lines=(*_fixed(settings, region), *pools),
        sources=(fixed, *sorted(prices)),
    )


def _pool(name: str, pool: NodePoolBase, region: str) -> Line:
    """A pool may mix its types: the ceiling is that of the most expensive one.

    A reservation is billed in full, however much of it is used. The settings of an
    elastic pool do not say how many instances its reservations have: the floor is then
    a minimum.
    """
    reaches = reach(pool)
    floor = total(_nodes(r.instance_type, r.nodes_min, region) for r in reaches)
    each = [_nodes(r.instance_type, r.nodes_max, region) for r in reaches]
    unknown = tuple(dict.fromkeys(u for amount in each for u in amount.unknown))
    ceiling = Amount(max(a.usd_per_hour for a in each), unknown)
    least, most = sum(r.nodes_min for r in reaches), max(r.nodes_max for r in reaches)
    what = f"{_span(least, most)} nodes of {', '.join(pool.instance_types)}"
    if isinstance(pool, ReservedPool) and (held := pool.reservation):
        floor = ceiling = _nodes(pool.instance_types[0], held.instances, region)
        what += f" out of {held.instances} reserved"
    if isinstance(pool, ElasticPool) and pool.reservations:
        idle = f"reservations of {name} while unused ({', '.join(pool.reservations)})"
        floor += Amount(unknown=(idle,))
    return Line(name, what, floor, ceiling, _note(reaches))


def _span(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"


def _nodes(instance_type: str, count: int, region: str) -> Amount:
    if count == 0:
        return Amount()
    price = catalog.price(instance_type, region)
    if price is None:
        return Amount(unknown=(f"{instance_type} in {region}",))
    return Amount(count * price.usd_per_hour)


def _note(reaches: list[Reach]) -> str:
    capacity = {kind for r in reaches for kind in r.capacity}
    said = {
        "capacity-block": "paid in advance; shown at the on-demand price",
        "reserved": "reservations are paid whether used or not",
        "spot": "spot costs at most this",
    }
    return "; ".join(text for kind, text in said.items() if kind in capacity)


@functools.cache
def _fixed_prices() -> dict[str, Any]:
    content: dict[str, Any] = read(FIXED.read_text(), FIXED.name)
    return content


def _fixed(settings: ClusterSettings, region: str) -> Iterator[Line]:
    """Control plane, NAT gateways and endpoints."""
    cluster, network = settings.cluster, settings.network
    supported = catalog.kubernetes_version(cluster.version).standard_until
    # Billed from the beginning of the calendar day.
    paid = kubernetes_support.today() >= supported
    plane = "control_plane_extended" if paid else "control_plane"
    kind = "extended support" if paid else "standard support"
    yield _always("control plane", f"EKS {cluster.version}, {kind}", plane, 1, region)
    if cluster.hybrid_nodes is not None:
        bill = Amount(unknown=("hybrid nodes, by their vCPUs and hours",))
        yield Line("hybrid nodes", "hosts on premises", bill, bill)
    if network.existing is not None:
        return
    zones = len(network.zones)
    gateways = {"per_zone": zones, "single": 1, "none": 0}[network.nat]
    if gateways:
        what = "1 gateway" if gateways == 1 else f"{gateways} gateways"
        yield _always("NAT", what, "nat_gateway", gateways, region)
        what = "1 public address" if gateways == 1 else f"{gateways} public addresses"
        yield _always("addresses", what, "public_address", gateways, region)
    kinds = [ENDPOINT_SERVICES[service].kind for service in network.endpoints]
    endpoints = kinds.count("Interface")
    if endpoints:
        what = f"{endpoints} services in {zones} zones"
        count = endpoints * zones
        yield _always("endpoints", what, "interface_endpoint", count, region)


def _always(name: str, what: str, price: str, count: int, region: str) -> Line:
    held = _fixed_prices()
    if region == held["region"]:
        amount = Amount(count * held["hourly"][price]["usd"])
    else:
        amount = Amount(unknown=(f"{name} in {region}",))
    return Line(name, what, amount, amount)
