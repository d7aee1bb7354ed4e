"""Why pods stay pending: each NodePool's reason, in a cluster with Karpenter.

Karpenter gives each pod one event that joins all pools in one long line, and the
scheduler only reports on existing nodes. This module checks each pool that could launch
a node, and each reason has its fix. What DaemonSets take of a node is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from slipway.doctor import quantity, selection
from slipway.doctor.quantity import Resources
from slipway.doctor.selection import PoolNodes, Requirement

Object = Mapping[str, Any]
"""A Kubernetes object in its JSON form."""


@dataclass(frozen=True)
class NodeSize:
    """Resources of a node of one instance type."""

    capacity: Resources
    """Installed resources; Karpenter counts them against a pool's limits."""
    allocatable: Resources
    """Part of it that pods may request."""


SizeOf = Callable[[str], NodeSize | None]
"""Returns an instance type's size by its name; None if it is unknown."""


@dataclass(frozen=True)
class Refusal:
    """Why one pool launches no node for a pod, and the fix."""

    pool: str
    reason: str
    fix: str


@dataclass(frozen=True)
class PendingPods:
    """Pods of one owner that wait for a node for the same reasons."""

    namespace: str
    name: str
    """The owner as `ReplicaSet/name`, or `Pod/name` of a pod without one."""
    count: int
    example: str
    """Name of one of them."""
    asks: str
    """Requests of each pod."""
    refusals: tuple[Refusal, ...]
    served_by: tuple[str, ...]
    """Pools without a reason: a node is starting, or the cloud had none."""
    scheduler: str
    """The scheduler's message about the existing nodes."""

    @property
    def is_served(self) -> bool:
        return bool(self.served_by)


def explain(
    pods: Iterable[Object],
    pools: Iterable[Object],
    size_of: SizeOf,
    overlays: Iterable[Object] = (),
) -> list[PendingPods]:
    """Reasons of all pods without a node; empty where none waits.

    `pods`, `pools` and `overlays` (NodePools, NodeOverlays) as `kubectl get -o json`
    has them in `items`; pods that run or have a node are passed over.
    """
    of_overlays = list(overlays)
    asked = [(pool, _overlaid(pool, size_of, of_overlays)) for pool in pools]
    found: dict[tuple[object, ...], PendingPods] = {}
    for pod in pods:
        if not _waits(pod):
            continue
        pending = _explain(pod, asked)
        key = (
            pending.namespace,
            pending.name,
            pending.asks,
            pending.refusals,
            pending.served_by,
        )
        if key in found:
            pending = replace(found[key], count=found[key].count + 1)
        found[key] = pending
    return sorted(found.values(), key=lambda one: (one.namespace, one.name))


def _waits(pod: Object) -> bool:
    return (
        pod["status"].get("phase") == "Pending"
        and not pod["spec"].get("nodeName")
        and not pod["metadata"].get("deletionTimestamp")
    )


def _overlaid(pool: Object, size_of: SizeOf, overlays: Iterable[Object]) -> SizeOf:
    """Return the pool's sizes: NodeOverlays define slices and time slices of GPUs."""

    def overlaid(name: str) -> NodeSize | None:
        size = size_of(name)
        labels = {
            "karpenter.sh/nodepool": pool["metadata"]["name"],
            selection.INSTANCE_TYPE: name,
        }
        for overlay in sorted(overlays, key=lambda o: o["spec"].get("weight", 0)):
            spec = overlay["spec"]
            required = map(Requirement.of, spec.get("requirements") or ())
            if size and all(r.admits(labels.get(r.key)) for r in required):
                more = quantity.resources(spec.get("capacity"))
                size = NodeSize({**size.capacity, **more}, {**size.allocatable, **more})
        return size

    return overlaid


def _explain(pod: Object, pools: Iterable[tuple[Object, SizeOf]]) -> PendingPods:
    meta = pod["metadata"]
    owners = [o for o in meta.get("ownerReferences") or () if o.get("controller")]
    owner = f"{owners[0]['kind']}/{owners[0]['name']}" if owners else ""
    conditions = pod["status"].get("conditions") or ()
    said = [c.get("message", "") for c in conditions if c["type"] == "PodScheduled"]
    asks = requests(pod)
    refusals: list[Refusal] = []
    served_by: list[str] = []
    for pool, size_of in pools:
        of_pool = list(_refusals(pod, asks, pool, size_of))
        refusals += of_pool
        if not of_pool:
            served_by.append(pool["metadata"]["name"])
    return PendingPods(
        namespace=meta["namespace"],
        name=owner or f"Pod/{meta['name']}",
        count=1,
        example=meta["name"],
        asks=", ".join(
            quantity.show(name, n) for name, n in asks.items() if name != "pods"
        ),
        refusals=tuple(refusals),
        served_by=tuple(served_by),
        scheduler=said[0] if said else "",
    )


def requests(pod: Object) -> dict[str, Decimal]:
    """What the scheduler reserves for a pod.

    The containers' sum, or what one init container needs beside the sidecars before it
    if that is more, and the pod's overhead:
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
    """
    spec = pod["spec"]
    running: dict[str, Decimal] = {}
    peak: dict[str, Decimal] = {}
    for container in spec.get("initContainers") or ():
        own = _requests_of(container)
        peak = quantity.largest(peak, quantity.add(running, own))
        if container.get("restartPolicy") == "Always":
            running = quantity.add(running, own)
    for container in spec["containers"]:
        running = quantity.add(running, _requests_of(container))
    total = quantity.largest(running, peak)
    total = quantity.add(total, quantity.resources(spec.get("overhead")))
    return total | {"pods": Decimal(1)}


def _requests_of(container: Object) -> dict[str, Decimal]:
    asked = container.get("resources") or {}
    # The API server fills in requests where only limits are set.
    return quantity.resources({**asked.get("limits", {}), **asked.get("requests", {})})


def _refusals(
    pod: Object, asks: Resources, pool: Object, size_of: SizeOf
) -> Iterator[Refusal]:
    nodes = PoolNodes.of(pool)
    for condition in pool.get("status", {}).get("conditions") or ():
        if condition["type"] == "Ready" and condition["status"] == "False":
            message = condition.get("message") or condition.get("reason", "")
            fix = f"kubectl describe nodepool {nodes.name}"
            yield Refusal(nodes.name, f"the pool is not Ready: {message}", fix)
    for taint in nodes.untolerated(pod["spec"].get("tolerations") or ()):
        yield Refusal(
            nodes.name,
            f"its taint {taint} is not tolerated",
            "add the toleration, if the pod is meant for this pool",
        )
    unmet = [
        [asked for asked in together if not nodes.meets(asked)]
        for together in selection.alternatives(pod)
    ]
    if all(unmet):
        for asked in min(unmet, key=len):
            yield Refusal(nodes.name, *_unmet_label(nodes, asked))
        return  # The pod is not meant for this pool: its sizes would be irrelevant.
    yield from _too_small(nodes, pool, pod, asks, size_of)


def _unmet_label(nodes: PoolNodes, asked: Requirement) -> tuple[str, str]:
    values = nodes.values(asked.key) or ()
    has = f"sets {', '.join(values)}" if values else "does not set this label"
    return (
        f"the pod requires {asked}, the pool {has}",
        "change the pod's node selector, or the pool",
    )


def _too_small(
    nodes: PoolNodes, pool: Object, pod: Object, asks: Resources, size_of: SizeOf
) -> Iterator[Refusal]:
    """Return the reasons: no type is large enough, or the limits are too low."""
    names = _types(nodes, pod)
    sizes = {name: size for name in names if (size := size_of(name))}
    if not sizes or len(sizes) < len(names):
        return  # Any type, or an unknown one, might fit.
    fitting = {n: s for n, s in sizes.items() if not _excess(asks, s.allocatable)}
    if not fitting:
        yield _no_type(nodes, asks, sizes)
        return
    limits = quantity.resources(pool["spec"].get("limits"))
    used = quantity.resources(pool.get("status", {}).get("resources"))
    left = {name: limit - used.get(name, Decimal(0)) for name, limit in limits.items()}
    closed = {n: _excess(_counted(s), left, only=limits) for n, s in fitting.items()}
    if all(closed.values()):
        name, over = min(closed.items(), key=lambda item: len(item[1]))
        # Limits of CPU and memory follow from that of the devices or nodes.
        which = next((n for n in over if "/" in n or n == "nodes"), over[0])
        wanted = quantity.show(which, _counted(fitting[name])[which])
        of = f"{quantity.show(which, limits[which])}, of which "
        of += f"{quantity.show(which, used.get(which, Decimal(0)))} are in use"
        yield Refusal(
            nodes.name,
            f"its limit is {of}; another {name} needs {wanted}",
            "raise the pool's limit, or run less in it",
        )


def _counted(size: NodeSize) -> dict[str, Decimal]:
    return {**size.capacity, "nodes": Decimal(1)}


def _types(nodes: PoolNodes, pod: Object) -> list[str]:
    """Instance types of the pool that the pod admits; empty if the pool lists none."""
    asked = selection.alternatives(pod)
    return [
        name
        for name in nodes.values(selection.INSTANCE_TYPE) or ()
        if any(
            all(r.admits(name) for r in together if r.key == selection.INSTANCE_TYPE)
            for together in asked
        )
    ]


def _no_type(
    nodes: PoolNodes, asks: Resources, sizes: Mapping[str, NodeSize]
) -> Refusal:
    def distance(size: NodeSize) -> tuple[int, Decimal]:
        lacks = _excess(asks, size.allocatable)
        return len(lacks), -size.allocatable.get(lacks[0], Decimal(0))

    name, size = min(sizes.items(), key=lambda item: distance(item[1]))
    which = _excess(asks, size.allocatable)[0]
    has = size.allocatable.get(which, Decimal(0))
    asked = quantity.show(which, asks[which])
    if not any(s.allocatable.get(which) for s in sizes.values()):
        return Refusal(
            nodes.name,
            f"the pod requests {asked}, but none of the pool's types has any",
            f"move the pod to a pool whose types have {which}",
        )
    return Refusal(
        nodes.name,
        f"the pod requests {asked}, but the closest type {name} has "
        f"{quantity.show(which, has)} for pods",
        "request less in each pod, or add a larger type to the pool",
    )


def _excess(
    asks: Resources, has: Resources, only: Iterable[str] | None = None
) -> list[str]:
    """Return the resources whose requests exceed the available amount."""
    names = asks if only is None else only
    zero = Decimal(0)
    return [n for n in names if asks.get(n, zero) > has.get(n, zero)]
