"""Which zones of the account offer the pools' instance types."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from components.cluster.nodes.elastic_pool import ElasticPool
from slipway.account import Account
from slipway.doctor.findings import Finding
from slipway.doctor.plan import Plan

NAME = "offerings"


def check(plan: Plan, account: Account) -> Iterator[Finding]:
    """Managed groups need their types in all of their zones, Karpenter in one."""
    names = sorted({t for pool in plan.pools.values() for t in pool.instance_types})
    answer = account.all(
        "ec2",
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": names}],
    )
    offered: dict[str, set[str]] = defaultdict(set)
    for one in answer:
        offered[one["InstanceType"]].add(one["Location"])
    for name, pool in plan.pools.items():
        zones = plan.zones(pool)
        for instance_type in pool.instance_types:
            anywhere = sorted(offered[instance_type])
            lacking = [zone for zone in zones if zone not in anywhere]
            enough = (
                len(lacking) < len(zones)
                if isinstance(pool, ElasticPool)
                else (not lacking)
            )
            subject = f"pools.{name} {instance_type}"
            if enough:
                less = f", not in {', '.join(lacking)}" if lacking else ""
                has = [zone for zone in zones if zone in anywhere]
                yield Finding(NAME, "good", subject, f"in {', '.join(has)}{less}")
                continue
            where = ", ".join(anywhere) or "no zone of the region"
            yield Finding(
                NAME,
                "problem",
                subject,
                f"not offered in {', '.join(lacking)}; it is in {where}",
                f"give the pool zones from {where}"
                if anywhere
                else "choose another type or region: slipway catalog list",
            )
