"""What cannot work in a reserved pool: reservation, network adapters, placement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.catalog import InstanceType
from components.cluster.pool_checks import Problems, known_types
from components.settings import ABSENT, Problem

if TYPE_CHECKING:
    from components.cluster.node_pool_settings import ReservedPool


def problems(pool: ReservedPool) -> Problems:
    """Reservation, network adapters and placement."""
    types = known_types(pool)
    yield from _reservation(pool, types)
    yield from _efa(pool, types)
    yield from _placement(pool, types)


def _reservation(pool: ReservedPool, types: list[InstanceType]) -> Problems:
    held = pool.reservation
    if held is None:
        for t in types:
            if "on-demand" not in t.usage_classes:
                yield Problem(
                    "reservation",
                    ABSENT,
                    f"{t.name} is sold by the capacity block only",
                    "buy a block and give its id",
                )
        return
    if len(pool.instance_types) > 1:
        yield Problem(
            "instance_types",
            list(pool.instance_types),
            "a reservation holds one instance type",
            "give the reservation's; other types are a pool of their own",
        )
    if pool.max_nodes > held.instances:
        yield Problem(
            "max_nodes",
            pool.max_nodes,
            f"the reservation holds {held.instances} instances, and no other capacity "
            "is used",
            f"give at most {held.instances}, or reserve more",
        )
    if pool.zones and set(pool.zones) != {held.zone}:
        yield Problem(
            "zones",
            list(pool.zones),
            f"the reservation lies in {held.zone}",
            f"give [{held.zone}], or remove zones",
        )
    if held.kind == "capacity_block":
        for t in types:
            if "capacity-block" not in t.usage_classes:
                yield Problem(
                    "reservation.kind",
                    held.kind,
                    f"{t.name} is not sold by the capacity block",
                    "set kind: reservation",
                )


def _efa(pool: ReservedPool, types: list[InstanceType]) -> Problems:
    if not pool.efa:
        return
    for t in types:
        if not t.efa_interfaces:
            yield Problem(
                "efa",
                value=True,
                reason=f"{t.name} has no Elastic Fabric Adapter",
                fix="remove efa, or give a type that has some (`slipway catalog list`)",
            )
            return
    if pool.max_nodes == 1:
        yield Problem(
            "efa",
            value=True,
            reason="adapters connect nodes, and the pool has one",
            fix="remove efa, or raise max_nodes",
        )
    elif len({(t.efa_interfaces, t.network_cards) for t in types}) > 1:
        yield Problem(
            "instance_types",
            list(pool.instance_types),
            "its types have different numbers of adapters, and one template fits all",
            "give one type, or remove efa",
        )


def _placement(pool: ReservedPool, types: list[InstanceType]) -> Problems:
    held = pool.reservation
    if not pool.placement_group:
        return
    if held:
        reason = (
            "a reservation that was not made in the group need not lie close together: "
            "launches would fail for want of capacity"
        )
        fix = (
            "make the reservation in a cluster placement group and give its name as "
            "reservation.placement_group, or remove it"
        )
        if held.kind == "capacity_block":
            reason = (
                "a capacity block lies in one UltraCluster by itself and takes no "
                "placement group"
            )
            fix = "remove placement_group"
        yield Problem("placement_group", value=True, reason=reason, fix=fix)
    elif len(pool.zones) > 1:
        yield Problem(
            "placement_group",
            value=True,
            reason=f"a cluster placement group lies in one zone, and the pool has "
            f"{len(pool.zones)}",
            fix="give one zone, or remove it",
        )
    for t in types:
        if "cluster" not in t.placement:
            yield Problem(
                "placement_group",
                value=True,
                reason=f"{t.name} cannot be placed in a cluster placement group",
                fix="remove it",
            )
