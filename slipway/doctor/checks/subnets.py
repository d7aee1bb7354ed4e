"""Subnets of an existing VPC: their size, and the tags that controllers need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network
from typing import Any

from components.cluster.iam.subnet_tags import KARPENTER_DISCOVERY, LOAD_BALANCERS, PODS
from components.cluster.network import cidr_plan
from components.cluster.nodes import node_demand
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.node_demand import NodeDemand
from slipway.account import Account
from slipway.doctor.findings import Finding
from slipway.doctor.plan import Plan

NAME = "subnets"


def check(plan: Plan, account: Account) -> Iterator[Finding]:
    """Check for the properties that Slipway's own subnets would have."""
    existing = plan.network.existing
    if existing is None:
        return
    filters = [{"Name": "vpc-id", "Values": [existing.id]}]
    found = {
        subnet["SubnetId"]: subnet
        for subnet in account.all("ec2", "describe_subnets", "Subnets", Filters=filters)
    }
    demands = list(node_demand.of_pools(plan.pools, plan.network.zones))
    for kind in ("private", "public"):
        subnets: dict[str, str] = getattr(existing, f"{kind}_subnets")
        for zone, id_ in subnets.items():
            if id_ not in found:
                continue  # the check `cidrs` reports it
            subject = f"network.existing.{kind}_subnets.{zone}"
            tags = {tag["Key"]: tag["Value"] for tag in found[id_].get("Tags", ())}
            yield _tagged(subject, id_, _wanted(plan, kind), tags)
            # "0": pods have separate subnets, which the settings do not name.
            if kind == "private" and tags.get(PODS) != "0":
                here = [demand for demand in demands if zone in demand.zones]
                yield _large_enough(subject, found[id_], here)


def _wanted(plan: Plan, kind: str) -> dict[str, str]:
    wanted = {LOAD_BALANCERS[kind]: "1"}
    elastic = any(isinstance(pool, ElasticPool) for pool in plan.pools.values())
    if kind == "private" and elastic:
        wanted[KARPENTER_DISCOVERY] = plan.cluster
    return wanted


def _tagged(
    subject: str, id_: str, wanted: dict[str, str], tags: dict[str, str]
) -> Finding:
    lacking = [f"{k}={v}" for k, v in wanted.items() if tags.get(k) != v]
    if not lacking:
        return Finding(NAME, "good", subject, f"{id_} has the tags {', '.join(wanted)}")
    return Finding(
        NAME,
        "problem",
        subject,
        f"{id_} lacks {', '.join(lacking)}: without them, load balancers and "
        "Karpenter's nodes cannot use it",
        f"aws ec2 create-tags --resources {id_} --tags "
        + " ".join(f"Key={k},Value={v}" for k, v in wanted.items()),
    )


def _large_enough(
    subject: str, subnet: dict[str, Any], demands: Sequence[NodeDemand]
) -> Finding:
    cidr = subnet["CidrBlock"]
    there = cidr_plan.blocks(IPv4Network(cidr)) * cidr_plan.BLOCK_ADDRESSES
    nodes = sum(demand.nodes_a_zone for demand in demands)
    needed = sum(demand.nodes_a_zone * demand.pod_addresses for demand in demands)
    seen = (
        f"the pools may grow to {nodes} nodes, which need {needed} addresses with "
        f"prefix delegation, but {cidr} has {there}"
    )
    if needed <= there:
        return Finding(NAME, "good", subject, seen)
    return Finding(
        NAME,
        "problem",
        subject,
        seen,
        "give a larger subnet, subnets for pods only, or lower the pools' bounds or "
        "max_pods",
    )
