"""Address ranges: a new VPC's against those of the account; an existing VPC's own."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

from components.cluster.iam.tags import CLUSTER_TAG
from components.cluster.network.network_settings import ExistingVpc
from slipway.account import Account, CannotAskError
from slipway.doctor.findings import Finding
from slipway.doctor.plan import Plan

NAME = "cidrs"


def check(plan: Plan, account: Account) -> Iterator[Finding]:
    """Check that a new range is free in the region, or an existing VPC's subnets."""
    if plan.network.existing:
        yield from _existing(plan.network.existing, account)
        return
    vpcs = account.all("ec2", "describe_vpcs", "Vpcs")
    others = [vpc for vpc in vpcs if not _is_own(plan, vpc)]
    for ours in plan.network.ranges("network"):
        shared = [
            f"{_name(vpc)} ({cidr})"
            for vpc in others
            for cidr in _ranges(vpc)
            if IPv4Network(cidr).overlaps(IPv4Network(ours.cidr))
        ]
        if shared:
            yield Finding(
                NAME,
                "problem",
                ours.path,
                f"{ours.cidr} overlaps {', '.join(shared)}: they could never be "
                "peered or share a transit gateway",
                "choose a range that no VPC has",
            )
        else:
            seen = f"{ours.cidr} is free beside {len(others)} VPCs of the region"
            yield Finding(NAME, "good", ours.path, seen)


def _is_own(plan: Plan, vpc: dict[str, Any]) -> bool:
    return {"Key": CLUSTER_TAG, "Value": plan.cluster} in vpc.get("Tags", ())


def _name(vpc: dict[str, Any]) -> str:
    tags = {tag["Key"]: tag["Value"] for tag in vpc.get("Tags", ())}
    return f"{vpc['VpcId']} {tags['Name']}" if "Name" in tags else str(vpc["VpcId"])


def _ranges(vpc: dict[str, Any]) -> set[str]:
    more = [
        one["CidrBlock"]
        for one in vpc.get("CidrBlockAssociationSet", ())
        if one.get("CidrBlockState", {}).get("State") in (None, "associated")
    ]
    return {vpc["CidrBlock"], *more}


def _existing(wanted: ExistingVpc, account: Account) -> Iterator[Finding]:
    path = "network.existing"
    try:
        (vpc,) = account.all("ec2", "describe_vpcs", "Vpcs", VpcIds=[wanted.id])
    except CannotAskError as error:
        if not error.code.startswith("InvalidVpcID"):
            raise
        yield Finding(
            NAME,
            "problem",
            f"{path}.id",
            f"this account has no VPC {wanted.id}",
            "give one from `aws ec2 describe-vpcs`",
        )
        return
    ranges = _ranges(vpc)
    lacking = {wanted.cidr, *wanted.secondary_cidrs} - ranges
    has = ", ".join(sorted(ranges))
    if lacking:
        yield Finding(
            NAME,
            "problem",
            f"{path}.cidr",
            f"the VPC has {has}, not {', '.join(sorted(lacking))}",
            "correct cidr and secondary_cidrs",
        )
    else:
        yield Finding(NAME, "good", f"{path}.id", f"{_name(vpc)} has {has}")
    yield from _subnets(wanted, account)


def _subnets(wanted: ExistingVpc, account: Account) -> Iterator[Finding]:
    filters = [{"Name": "vpc-id", "Values": [wanted.id]}]
    found = {
        subnet["SubnetId"]: subnet
        for subnet in account.all("ec2", "describe_subnets", "Subnets", Filters=filters)
    }
    for kind in ("private_subnets", "intra_subnets", "public_subnets"):
        subnets: dict[str, str] = getattr(wanted, kind)
        for zone, id_ in subnets.items():
            subject, real = f"network.existing.{kind}.{zone}", found.get(id_)
            if real is None:
                detail, fix = f"the VPC has no {id_}", "give one of its subnets"
            elif real["AvailabilityZone"] != zone:
                detail = f"{id_} is in {real['AvailabilityZone']}"
                fix = "give it under its own zone"
            else:
                free = f"{real['AvailableIpAddressCount']} addresses are free"
                yield Finding(NAME, "good", subject, f"{id_}: {free}")
                continue
            yield Finding(NAME, "problem", subject, detail, fix)
