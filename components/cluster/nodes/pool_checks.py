"""Checks of a pool against the catalogue, before anything is created.

Paths are relative to the pool. Checks of only some kinds of pools are in
system_pool.py, reserved_pool.py and elastic_pool.py; those that depend on the region,
the network or the Kubernetes version are in pool_places.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from components import catalog
from components.catalog import InstanceType
from components.cluster.nodes import amis, driver_checks, node_capacity
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.settings import Problem

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
    """Report problems of a pool of any kind."""
    yield from _names(pool)
    types = known_types(pool)
    if not types:
        return
    yield from _mixed(pool, types)
    yield from _layout(pool, types)
    yield from _image(pool, types)
    yield from driver_checks.problems(pool, types)
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
                f"the catalogue leaves it out: {error.left_out}"
                if error.left_out
                else "the catalogue has no such instance type",
                f"{hint}`slipway catalog list` shows them",
            )
            continue
        if found.gpu and found.gpu.manufacturer != "NVIDIA":
            yield Problem(
                path,
                name,
                f"its GPUs are {found.gpu.manufacturer}'s, but the nodes' image and "
                "device plugin are for NVIDIA GPUs",
                "give a type with NVIDIA GPUs",
            )


def _mixed(pool: NodePoolBase, types: list[InstanceType]) -> Problems:
    """Nodes of a pool are interchangeable: one image, one label, one kind of GPU."""
    if len({t.architecture for t in types}) > 1:
        kinds = listed(f"{t.name} is {t.architecture}" for t in types)
        yield Problem(
            "instance_types",
            list(pool.instance_types),
            f"its types have two architectures ({kinds}), but a pool boots one image",
            "make a pool for each",
        )
    if len({node_capacity.accelerator(t) for t in types}) > 1:
        kinds = listed(
            f"{t.name} has {node_capacity.accelerator(t) or 'none'}" for t in types
        )
        yield Problem(
            "instance_types",
            list(pool.instance_types),
            f"its types have different accelerators ({kinds}); a model built for one "
            "may not fit or run on another",
            "make a pool for each",
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
                f"{t.name} already has only {t.gpu.partition:g} of a GPU",
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
                f"they would boot {key}, which is not in {amis.LOCK.name}",
                f"give types that boot one of: {', '.join(lock.images)}",
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
            reason = f"it is for {image.architecture}, but {t.name} is {t.architecture}"
        elif image.accelerator != node_capacity.driver_kind(t):
            has = node_capacity.accelerator(t) or "no accelerator"
            reason = (
                f"it has drivers for {image.accelerator}, but {t.name} has {has}"
                if image.accelerator != "none"
                else f"it has no driver for the {has} of {t.name}"
            )
        else:
            continue
        yield Problem(
            "ami",
            pool.ami,
            reason,
            f"remove it, which selects {wanted}, or give {wanted}",
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
                f"the network interfaces of {t.name} allow {most} pods with prefix "
                "delegation",
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


def listed(words: Iterable[str]) -> str:
    """Words with commas."""
    return ", ".join(words)
