"""The caller's identity, and whether the region can be used."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.account import Account
from slipway.doctor.findings import Finding
from slipway.doctor.plan import Plan

NAME = "credentials"
ENABLED = ("opt-in-not-required", "opted-in")


def check(plan: Plan, account: Account) -> Iterator[Finding]:
    """Check that the caller's account and its usable zones match the settings."""
    caller = account.ask("sts", "get_caller_identity")
    arn, found = str(caller["Arn"]), str(caller["Account"])
    if found != plan.account:
        yield Finding(
            NAME,
            "problem",
            "account.id",
            f"the credentials are {arn}, of account {found}; the settings say "
            f"{plan.account}",
            "set AWS_PROFILE to the right account, or correct account.id",
        )
        return
    yield Finding(NAME, "good", "account.id", f"{arn} is of account {found}")
    yield from _region(plan, account)


def _region(plan: Plan, account: Account) -> Iterator[Finding]:
    answer = account.ask(
        "ec2", "describe_availability_zones", AllAvailabilityZones=False
    )
    zones = {
        zone["ZoneName"]: zone
        for zone in answer["AvailabilityZones"]
        if zone.get("ZoneType", "availability-zone") == "availability-zone"
    }
    wrong = [
        name
        for name in plan.network.zones
        if name not in zones
        or zones[name].get("State") != "available"
        or zones[name].get("OptInStatus", ENABLED[0]) not in ENABLED
    ]
    if wrong:
        yield Finding(
            NAME,
            "problem",
            "network.zones",
            f"{', '.join(wrong)} cannot be used by this account",
            f"choose from {', '.join(sorted(zones))}",
        )
    else:
        seen = ", ".join(plan.network.zones)
        yield Finding(NAME, "good", "network.zones", f"{seen} are available")
