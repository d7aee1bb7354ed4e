"""Node pools of a fixed size, and checks of their settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from components.catalog import InstanceType
from components.cluster.nodes import pool_checks
from components.cluster.nodes.node_pool_base import SizedPool
from components.cluster.nodes.pool_checks import Problems, known_types
from components.cluster.nodes.reservation import Reservation
from components.settings import ABSENT, Problem


class ReservedPool(SizedPool):
    """A managed group that stays, on capacity that was reserved where there is some."""

    kind: Literal["reserved"]
    """A managed node group that keeps its size, on reserved capacity."""
    reservation: Reservation | None = None
    """The reservation or capacity block of all nodes. Default: plain on-demand
    instances that run all the time."""
    efa: bool | None = None
    """Whether nodes get the Elastic Fabric Adapters of their type. Default: if the type
    has several and the pool may have several nodes."""
    placement_group: bool | None = None
    """Whether nodes are placed close together in their own cluster placement group.
    Default: with EFA, in one zone and without a reservation."""

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        yield from pool_checks.problems(self)
        yield from _problems(self)


def _problems(pool: ReservedPool) -> Problems:
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
                    f"{t.name} is sold as a capacity block only",
                    "buy a block and give its id",
                )
        return
    if len(pool.instance_types) > 1:
        yield Problem(
            "instance_types",
            list(pool.instance_types),
            "a reservation holds one instance type",
            "give the reservation's type; other types need their own pool",
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
            f"the reservation is in {held.zone}",
            f"give [{held.zone}], or remove zones",
        )
    if held.kind == "capacity_block":
        for t in types:
            if "capacity-block" not in t.usage_classes:
                yield Problem(
                    "reservation.kind",
                    held.kind,
                    f"{t.name} is not sold as a capacity block",
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
                fix="give a type that has one (`slipway catalog list`), or remove efa",
            )
            return
    if pool.max_nodes == 1:
        yield Problem(
            "efa",
            value=True,
            reason="adapters connect nodes, but the pool has only one",
            fix="remove efa, or raise max_nodes",
        )
    elif len({(t.efa_interfaces, t.network_cards) for t in types}) > 1:
        yield Problem(
            "instance_types",
            list(pool.instance_types),
            "its types have different numbers of adapters, but share one launch "
            "template",
            "give one type, or remove efa",
        )


def _placement(pool: ReservedPool, types: list[InstanceType]) -> Problems:
    held = pool.reservation
    if not pool.placement_group:
        return
    if held:
        reason = (
            "instances of a reservation made outside the group may not be close "
            "together: launches would fail for lack of capacity"
        )
        fix = (
            "make the reservation in a cluster placement group and give its name as "
            "reservation.placement_group, or remove it"
        )
        if held.kind == "capacity_block":
            reason = (
                "a capacity block is already placed in one UltraCluster and accepts "
                "no placement group"
            )
            fix = "remove placement_group"
        yield Problem("placement_group", value=True, reason=reason, fix=fix)
    elif len(pool.zones) > 1:
        yield Problem(
            "placement_group",
            value=True,
            reason="a cluster placement group is in one zone, but the pool has "
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
