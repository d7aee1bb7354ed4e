"""Quotas for a new VPC: the VPC itself, addresses, NAT gateways, endpoints.

https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from components import catalog
from components.cluster.iam.tags import CLUSTER_TAG
from components.cluster.network.endpoint_services import ENDPOINT_SERVICES
from slipway.account import Account, CannotAskError
from slipway.doctor import quotas
from slipway.doctor.findings import Finding
from slipway.doctor.plan import Plan

NAME = "network-quotas"
Used = Callable[[Plan, Account], int]


@dataclass(frozen=True)
class Demand:
    """The network's demand on one quota."""

    quota: str
    """Name of the quota in the catalogue's table."""
    wanted: int
    used: Used
    """Number that others already use; this stack's own are not counted."""


def check(plan: Plan, account: Account) -> Iterator[Finding]:
    """Room for a new VPC beside what the account has; nothing for an existing VPC."""
    if not plan.network.makes_vpc:
        return
    for demand in demands(plan):
        if demand.wanted:
            yield _judged(plan, account, demand)


def demands(plan: Plan) -> list[Demand]:
    """Return the demands of a new VPC with these settings."""
    network = plan.network
    gateways = {"per_zone": len(network.zones), "single": 1, "none": 0}[network.nat]
    interfaces = [
        name
        for name in network.endpoints
        if ENDPOINT_SERVICES[name].kind == "Interface"
    ]
    has_internet = int(network.nat != "none")
    return [
        Demand("vpcs_per_region", 1, _vpcs),
        Demand("internet_gateways_per_region", has_internet, _internet_gateways),
        Demand("elastic_ips_per_region", gateways, _addresses),
        Demand("nat_gateways_per_zone", int(gateways > 0), _gateways_of_fullest_zone),
        Demand("interface_endpoints_per_vpc", len(interfaces), lambda *_: 0),
    ]


def _judged(plan: Plan, account: Account, demand: Demand) -> Finding:
    subject = demand.quota.replace("_", " ")
    quota = catalog.count_quota(demand.quota)
    try:
        limit = quotas.value(account, quota.service, quota.code)
        used = demand.used(plan, account)
    except CannotAskError as error:
        return Finding(NAME, "unknown", subject, error.why, error.fix)
    seen = f"the quota is {limit:g}, others use {used}, the stack needs {demand.wanted}"
    if used + demand.wanted > limit:
        more = quotas.raise_it(quota.service, quota.code, used + demand.wanted)
        fix = more.replace("lower the pools' limits", "delete what is not needed")
        return Finding(NAME, "problem", subject, seen, fix)
    return Finding(NAME, "good", subject, seen)


def others(plan: Plan, found: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return the resources without this cluster's tag."""
    own = {"Key": CLUSTER_TAG, "Value": plan.cluster}
    return [one for one in found if own not in (one.get("Tags") or ())]  # type: ignore[operator]


def _vpcs(plan: Plan, account: Account) -> int:
    return len(others(plan, account.all("ec2", "describe_vpcs", "Vpcs")))


def _internet_gateways(plan: Plan, account: Account) -> int:
    call = "describe_internet_gateways"
    return len(others(plan, account.all("ec2", call, "InternetGateways")))


def _addresses(plan: Plan, account: Account) -> int:
    return len(others(plan, account.all("ec2", "describe_addresses", "Addresses")))


def _gateways_of_fullest_zone(plan: Plan, account: Account) -> int:
    gateways = account.all(
        "ec2",
        "describe_nat_gateways",
        "NatGateways",
        Filters=[{"Name": "state", "Values": ["pending", "available"]}],
    )
    zone_of = {
        subnet["SubnetId"]: subnet["AvailabilityZone"]
        for subnet in account.all("ec2", "describe_subnets", "Subnets")
    }
    zones = Counter(
        zone_of.get(str(gateway.get("SubnetId"))) for gateway in others(plan, gateways)
    )
    return max((zones[zone] for zone in plan.network.zones), default=0)
