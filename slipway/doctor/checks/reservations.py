"""The actual capacity reservations and blocks that the pools use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from components.cluster.nodes import reservation as settings
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.reservation import Reservation
from components.cluster.nodes.reserved_pool import ReservedPool
from slipway.account import Account, CannotAskError
from slipway.doctor.findings import Finding
from slipway.doctor.plan import Plan

NAME = "reservations"
NOT_FOUND = "InvalidCapacityReservationId"
BLOCK = "capacity-block"
LINUX = "Linux/UNIX"


def check(plan: Plan, account: Account) -> Iterator[Finding]:
    """Check that each is active, fits its pool, is large enough, and has not ended."""
    for name, pool in plan.pools.items():
        if isinstance(pool, ReservedPool) and pool.reservation:
            subject = f"pools.{name} {pool.reservation.id}"
            yield _one(plan, account, pool, subject, pool.reservation.id)
        if isinstance(pool, ElasticPool):
            for id_ in pool.reservations:
                yield _one(plan, account, pool, f"pools.{name} {id_}", id_)


def _one(
    plan: Plan, account: Account, pool: NodePoolBase, subject: str, id_: str
) -> Finding:
    try:
        found = account.all(
            "ec2",
            "describe_capacity_reservations",
            "CapacityReservations",
            CapacityReservationIds=[id_],
        )
    except CannotAskError as error:
        if not error.code.startswith(NOT_FOUND):
            return Finding(NAME, "unknown", subject, error.why, error.fix)
        found = []
    if not found:
        return Finding(
            NAME,
            "problem",
            subject,
            f"this account has no reservation with this ID in {plan.region}",
            "give one from `aws ec2 describe-capacity-reservations`; a shared one "
            "must be accepted first",
        )
    real = found[0]
    wrong = list(_mismatches(plan, pool, real))
    if wrong:
        return Finding(
            NAME,
            "problem",
            subject,
            "; ".join(wrong),
            "correct the pool's settings, or change the reservation",
        )
    ends = real.get("EndDate")
    until = f", until {ends:%Y-%m-%d %H:%M} UTC" if ends else ""
    return Finding(
        NAME,
        "good",
        subject,
        f"{real['State']}: {real['TotalInstanceCount']} x {real['InstanceType']} in "
        f"{real['AvailabilityZone']}, {real['AvailableInstanceCount']} free{until}",
    )


def _mismatches(plan: Plan, pool: NodePoolBase, real: dict[str, Any]) -> Iterator[str]:
    if real["InstanceType"] not in pool.instance_types:
        yield f"it is for {real['InstanceType']}, which is not one of the pool's types"
    zones = plan.zones(pool)
    if real["AvailabilityZone"] not in zones:
        yield f"it is in {real['AvailabilityZone']}, the pool in {', '.join(zones)}"
    if real.get("InstancePlatform", LINUX) != LINUX:
        yield f"it is for {real['InstancePlatform']}, nodes run Linux"
    if real.get("Tenancy", "default") != "default":
        yield f"its tenancy is {real['Tenancy']}, nodes have the default"
    given = pool.reservation if isinstance(pool, ReservedPool) else None
    yield from _times(real, given)
    if given:
        yield from _against(given, real)


def _times(real: dict[str, Any], given: Reservation | None) -> Iterator[str]:
    now = settings.now()
    start, end = real.get("StartDate"), real.get("EndDate")
    if real["State"] != "active":
        future = start and start > now
        when = f", it begins at {start:%Y-%m-%d %H:%M} UTC" if future else ""
        yield f"it is {real['State']}, not active{when}"
    if end and end <= now:
        yield f"it ended at {end:%Y-%m-%d %H:%M} UTC"
    if given and given.ends_at and end and _minute(end) != _minute(given.ends_at):
        yield (
            f"it ends at {end.astimezone(UTC):%Y-%m-%dT%H:%MZ}, the settings say "
            f"{given.ends_at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
        )


def _minute(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(second=0, microsecond=0)


def _against(given: Reservation, real: dict[str, Any]) -> Iterator[str]:
    if real["TotalInstanceCount"] < given.instances:
        yield (
            f"it holds {real['TotalInstanceCount']} instances, the settings say "
            f"{given.instances}"
        )
    is_block = real.get("ReservationType") == BLOCK
    if is_block != (given.kind == "capacity_block"):
        kind = "a capacity block" if is_block else "no capacity block"
        yield f"it is {kind}, the settings say kind: {given.kind}"
