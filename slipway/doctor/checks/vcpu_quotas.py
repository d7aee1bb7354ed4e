"""vCPU quotas of EC2 against the pools' limits and others' use.

https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from components import catalog
from components.cluster.iam.tags import CLUSTER_TAG
from components.cluster.nodes.pool_reach import Reach, reach
from slipway.account import Account, CannotAskError
from slipway.doctor import quotas
from slipway.doctor.findings import Finding
from slipway.doctor.plan import Plan

NAME = "vcpu-quotas"
RUNNING = ("pending", "running", "stopping", "shutting-down")
MARKETS = {"on-demand": "on-demand", "reserved": "on-demand", "spot": "spot"}
"""The quota against which a capacity type counts. Capacity blocks count against no vCPU
quota; a reservation's instances are on-demand instances."""


@dataclass(frozen=True)
class Need:
    """One pool's maximum demand on one quota."""

    pool: str
    instance_type: str
    nodes: int
    vcpus: int
    """vCPUs of all nodes."""

    @property
    def of_one(self) -> int:
        return self.vcpus // self.nodes if self.nodes else 0

    def __str__(self) -> str:
        return f"{self.pool} {self.nodes} x {self.instance_type} ({self.vcpus})"


Key = tuple[str, str]
"""Quota family and market, for example (`P`, `spot`)."""


def check(plan: Plan, account: Account) -> Iterator[Finding]:
    """Check that each quota suffices for all pools at their limits and others' use."""
    needs = needed(plan)
    try:
        others = running(plan, account)
        unread = ""
    except CannotAskError as error:
        others, unread = {}, error.why
    for (family, market), pools in sorted(needs.items()):
        taken = others.get((family, market), 0)
        finding = _judged(account, f"{family} {market} vCPUs", market, pools, taken)
        yield _doubted(finding, unread) if unread else finding


def needed(plan: Plan) -> dict[Key, list[Need]]:
    """Return the pools' maximum demand, by quota.

    A pool may mix its types under one limit: the type with the highest demand counts.
    """
    found: dict[Key, list[Need]] = defaultdict(list)
    for name, pool in plan.pools.items():
        largest: dict[Key, Need] = {}
        for one in reach(pool):
            for key in _keys(one):
                need = _need(name, one)
                if key not in largest or need.vcpus > largest[key].vcpus:
                    largest[key] = need
        for key, need in largest.items():
            found[key].append(need)
    return dict(found)


def _keys(one: Reach) -> set[Key]:
    markets = {MARKETS[c] for c in one.capacity if c in MARKETS}
    return {(_family(one.instance_type, market), market) for market in markets}


def _family(instance_type: str, market: str) -> str:
    """Return the quota's name; if it is unknown, the type's own family."""
    quota = catalog.vcpu_quota(instance_type, market)
    return quota.name if quota else instance_type.partition(".")[0]


def _need(pool: str, one: Reach) -> Need:
    vcpus = catalog.instance_type(one.instance_type).vcpus
    return Need(
        f"pools.{pool}", one.instance_type, one.nodes_max, vcpus * one.nodes_max
    )


def running(plan: Plan, account: Account) -> dict[Key, int]:
    """What others than this cluster run, in vCPUs by quota."""
    reservations = account.all(
        "ec2",
        "describe_instances",
        "Reservations",
        Filters=[{"Name": "instance-state-name", "Values": list(RUNNING)}],
    )
    found: dict[Key, int] = defaultdict(int)
    for instance in (i for r in reservations for i in r["Instances"]):
        tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}
        own = tags.get(CLUSTER_TAG) == plan.cluster
        market = instance.get("InstanceLifecycle", "on-demand")
        if own or market not in MARKETS:
            continue
        family = _family(instance["InstanceType"], market)
        options = instance.get("CpuOptions", {})
        cores, threads = options.get("CoreCount", 0), options.get("ThreadsPerCore", 1)
        found[family, market] += cores * threads
    return dict(found)


def _judged(
    account: Account, subject: str, market: str, pools: list[Need], taken: int
) -> Finding:
    quota = catalog.vcpu_quota(pools[0].instance_type, market)
    if quota is None:
        return Finding(
            NAME,
            "unknown",
            subject,
            f"the catalogue has no quota for {pools[0].instance_type}",
            "check Service Quotas manually",
        )
    wanted = sum(need.vcpus for need in pools)
    what = f"the pools may grow to {wanted}: {'; '.join(map(str, pools))}"
    try:
        limit = quotas.value(account, "ec2", quota.code)
    except CannotAskError as error:
        return Finding(NAME, "unknown", subject, f"{what}; {error.why}", error.fix)
    seen = f"the quota is {limit:g}, others run {taken}, {what}"
    room = limit - taken
    if wanted <= room:
        return Finding(NAME, "good", subject, seen)
    short = [need for need in pools if need.of_one > room]
    if short:
        seen += f"; not even one {short[0].instance_type} fits"
    fix = quotas.raise_it("ec2", quota.code, wanted + taken)
    return Finding(NAME, "problem", subject, seen, fix)


def _doubted(finding: Finding, unread: str) -> Finding:
    """Return the finding if others' use could not be read: success is then unknown."""
    if finding.status != "good":
        return finding
    seen = finding.detail.replace("others run 0", "what others run is not known")
    fix = "grant the caller's role ec2:DescribeInstances"
    return replace(finding, status="unknown", detail=f"{seen}; {unread}", fix=fix)
