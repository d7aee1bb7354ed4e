"""What the catalogue says cannot work in a pool, before anything is made.

Paths are relative to the pool. What depends on the region, the network or the
Kubernetes version is in pool_places.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from components import catalog
from components.catalog import InstanceType
from components.cluster import amis, node_capacity
from components.settings import ABSENT, Problem

if TYPE_CHECKING:
    from components.cluster.node_pool_settings import (
        ElasticPool,
        NodePoolBase,
        ReservedPool,
        SystemPool,
    )

Problems = Iterator[Problem]


def known_types(pool: NodePoolBase) -> list[InstanceType]:
    """The pool's types that the catalogue has."""
    found = []
    for name in pool.instance_types:
        try:
            found.append(catalog.instance_type(name))
        except catalog.UnknownInstanceTypeError:
            continue
    return found


def problems(pool: NodePoolBase) -> Problems:
    """What is wrong with a pool of any kind."""
    yield from _names(pool)
    types = known_types(pool)
    if not types:
        return
    yield from _mixed(pool, types)
    yield from _layout(pool, types)
    yield from _image(pool, types)
    yield from _disk(pool, types)
    yield from _pods(pool, types)
    yield from _taints(pool)


def _names(pool: NodePoolBase) -> Problems:
    seen: set[str] = set()
    for index, name in enumerate(pool.instance_types):
        path = f"instance_types.{index}"
        if name in seen:
            yield Problem(path, name, "it is given twice", "remove one")
        seen.add(name)
        try:
            found = catalog.instance_type(name)
        except catalog.UnknownInstanceTypeError as error:
            hint = f"did you mean {error.nearest}? " if error.nearest else ""
            yield Problem(
                path,
                name,
                "the catalogue has no such instance type",
                f"{hint}`slipway catalog list` shows them",
            )
            continue
        if found.gpu and found.gpu.manufacturer != "NVIDIA":
            yield Problem(
                path,
                name,
                f"its GPUs are {found.gpu.manufacturer}'s, and the nodes' image and "
                "device plugin are NVIDIA's",
                "give a type with NVIDIA GPUs",
            )


def _mixed(pool: NodePoolBase, types: list[InstanceType]) -> Problems:
    """Nodes of a pool are interchangeable: one image, one label, one kind of GPU."""
    if len({t.architecture for t in types}) > 1:
        kinds = _listed(f"{t.name} is {t.architecture}" for t in types)
        yield Problem(
            "instance_types",
            list(pool.instance_types),
            f"its types have two architectures ({kinds}), and a pool boots one image",
            "make a pool of each",
        )
    if len({node_capacity.accelerator(t) for t in types}) > 1:
        kinds = _listed(
            f"{t.name} has {node_capacity.accelerator(t) or 'none'}" for t in types
        )
        yield Problem(
            "instance_types",
            list(pool.instance_types),
            f"its types have different accelerators ({kinds}); a model made for one "
            "may not fit or run on another",
            "make a pool of each",
        )


def _layout(pool: NodePoolBase, types: list[InstanceType]) -> Problems:
    layout = pool.gpu
    if layout.mode == "whole":
        return
    for t in types:
        if t.gpu is None:
            yield Problem(
                "gpu.mode",
                layout.mode,
                f"{t.name} has no GPU to share",
                "remove gpu, or give types with GPUs",
            )
        elif t.gpu.partition < 1:
            yield Problem(
                "gpu.mode",
                layout.mode,
                f"{t.name} already has {t.gpu.partition:g} of a GPU only",
                "set mode: whole",
            )
        elif layout.mode == "mig" and layout.mig_profile:
            yield from _mig(t.name, t.gpu.model, layout.mig_profile)


def _mig(name: str, model: str, profile: str) -> Problems:
    profiles = [p.name for p in catalog.accelerator(model).mig_profiles]
    if not profiles:
        yield Problem(
            "gpu.mode",
            "mig",
            f"the {model} of {name} cannot be cut into MIG slices",
            "set mode: time_slicing, or give a type with A100, H100 or newer",
        )
    elif profile not in profiles:
        yield Problem(
            "gpu.mig_profile",
            profile,
            f"the {model} of {name} has no such MIG profile",
            f"give one of: {', '.join(profiles)}",
        )


def _image(pool: NodePoolBase, types: list[InstanceType]) -> Problems:
    lock = amis.lock()
    if pool.ami is None:
        for key in sorted({node_capacity.ami_key(t) for t in types} - {*lock.images}):
            yield Problem(
                "instance_types",
                list(pool.instance_types),
                f"they would boot {key}, which {amis.LOCK.name} does not have",
                f"give types for one of: {', '.join(lock.images)}",
            )
        return
    try:
        image = lock.image(pool.ami)
    except amis.UnknownAmiError as error:
        yield Problem("ami", pool.ami, error.reason, error.fix)
        return
    for t in types:
        wanted = node_capacity.ami_key(t)
        if t.architecture != image.architecture:
            reason = f"it is for {image.architecture}, and {t.name} is {t.architecture}"
        elif image.accelerator != node_capacity.driver_kind(t):
            has = node_capacity.accelerator(t) or "no accelerator"
            reason = (
                f"it has drivers for {image.accelerator}, and {t.name} has {has}"
                if image.accelerator != "none"
                else f"it has no driver for the {has} of {t.name}"
            )
        else:
            continue
        yield Problem(
            "ami",
            pool.ami,
            reason,
            f"remove it, which means {wanted}, or give {wanted}",
        )


def _disk(pool: NodePoolBase, types: list[InstanceType]) -> Problems:
    """Images and weights must fit below the mark where the kubelet deletes images."""
    for t in types:
        room = node_capacity.content_gib(t, pool.disk_gib)
        if pool.content_gib <= room:
            continue
        if node_capacity.nvme_gib(t):
            yield Problem(
                "content_gib",
                pool.content_gib,
                f"the NVMe of {t.name} has room for {room} GiB before the kubelet "
                "deletes images",
                f"give at most {room}, or types with more NVMe",
            )
        else:
            yield Problem(
                "disk_gib",
                pool.disk_gib,
                f"on {t.name} it leaves {room} GiB for images and weights before the "
                f"kubelet deletes images, and content_gib is {pool.content_gib}",
                f"give at least {node_capacity.disk_for(pool.content_gib)}",
            )
        return


def _pods(pool: NodePoolBase, types: list[InstanceType]) -> Problems:
    if pool.max_pods is None:
        return
    for t in types:
        most = node_capacity.admitted_pods(t)
        if pool.max_pods > most:
            yield Problem(
                "max_pods",
                pool.max_pods,
                f"the network interfaces of {t.name} admit {most} pods with prefixes",
                f"give at most {most}, or remove it",
            )
            return


def _taints(pool: NodePoolBase) -> Problems:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(pool.taints):
        if (taint.key, taint.effect) in seen:
            yield Problem(
                f"taints.{index}",
                f"{taint.key}:{taint.effect}",
                "another taint has the same key and effect, which Kubernetes refuses",
                "remove one",
            )
        seen.add((taint.key, taint.effect))


def accelerators_of_system(pool: SystemPool) -> Problems:
    """Cluster services on GPU nodes: dear, and no taint keeps them together."""
    for t in known_types(pool):
        if has := node_capacity.accelerator(t):
            yield Problem(
                "instance_types",
                t.name,
                f"it has {has}, which cluster services do not use",
                "give a type without accelerators, or make the pool's kind reserved or "
                "elastic",
            )


def reserved(pool: ReservedPool) -> Problems:
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


def elastic(pool: ElasticPool) -> Problems:
    """The capacity ladder, the limits, and consolidation."""
    types = known_types(pool)
    yield from _ladder(pool, types)
    if types:
        yield from _limit(pool, types)
    if pool.settle_seconds < pool.model_load_seconds:
        yield Problem(
            "consolidate_after_seconds",
            pool.consolidate_after_seconds,
            f"a model may load for model_load_seconds = {pool.model_load_seconds} s, "
            "and its node would be removed before",
            f"give at least {pool.model_load_seconds}, or lower model_load_seconds",
        )


def _ladder(pool: ElasticPool, types: list[InstanceType]) -> Problems:
    from components.cluster.node_pool_settings import LADDER

    ladder = list(pool.capacity)
    order = [c for c in LADDER if c in ladder]
    if ladder != order:
        yield Problem(
            "capacity",
            ladder,
            "Karpenter takes reserved, then spot, then on-demand, each once; no other "
            "order can be had in one pool",
            f"give [{', '.join(order)}]",
        )
    if "reserved" in ladder and not pool.reservations:
        yield Problem(
            "reservations",
            ABSENT,
            "capacity has reserved, and no reservation is named",
            "give the ids (cr-...), or remove reserved from capacity",
        )
    if pool.reservations and "reserved" not in ladder:
        yield Problem(
            "reservations",
            list(pool.reservations),
            f"capacity is {', '.join(ladder)}, which draws on no reservation",
            "add reserved to capacity as the first, or remove them",
        )
    for t in types:
        sold = [c for c in ladder if c == "reserved" or c in t.usage_classes]
        for missing in (c for c in ladder if c not in sold):
            yield Problem(
                "capacity",
                ladder,
                f"{t.name} is not sold as {missing}, only as "
                f"{', '.join(t.usage_classes)}",
                f"remove {missing}, or the type",
            )


def _limit(pool: ElasticPool, types: list[InstanceType]) -> Problems:
    counts = {t.name: node_capacity.devices(t) for t in types}
    name, other = ("max_gpus", "max_nodes")
    if not any(counts.values()):
        name, other = other, name
    value, unwanted = getattr(pool, name), getattr(pool, other)
    if unwanted is not None:
        what = "have no GPUs" if other == "max_gpus" else "have GPUs"
        yield Problem(
            other,
            unwanted,
            f"the pool's types {what}",
            f"remove it and give {name}",
        )
    if value is None:
        yield Problem(
            name,
            ABSENT,
            "without a limit, waiting pods buy nodes without end",
            f"set {name}",
        )
        return
    if name == "max_nodes":
        return
    step = math.gcd(*counts.values())
    for t, count in counts.items():
        if count > value:
            yield Problem(
                name,
                value,
                f"one {t} has {count}: the pool could never launch it",
                f"give at least {count}, or remove {t}",
            )
            return
    if value % step:
        below, above = value // step * step, (value // step + 1) * step
        nodes = _listed(f"{t} {n}" for t, n in counts.items())
        yield Problem(
            name,
            value,
            f"it is no whole number of nodes (GPUs of each: {nodes})",
            f"give {below} or {above}" if below else f"give {above}",
        )


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
