"""Labels and taints of a pool's nodes, and what a workload needs to run there."""

from __future__ import annotations

from dataclasses import dataclass, field

from components import catalog, naming
from components.catalog import InstanceType
from components.cluster.nodes import node_capacity
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.reserved_pool import ReservedPool
from components.cluster.nodes.taint import Effect, toleration

POOL_LABEL = naming.POOL_LABEL
"""Label of every node: the name of its pool in the settings."""
ACCELERATOR_LABEL = "slipway.dev/accelerator"
"""Label of nodes with accelerators: the model, for example h100."""
LAYOUT_LABEL = "slipway.dev/gpu-layout"
"""On nodes with GPUs: whole, time_slicing, or the MIG profile; the device plugin's
configuration of that name."""
NVIDIA_TAINT = "nvidia.com/gpu"
NEURON_RESOURCE = "aws.amazon.com/neuron"
TAINT_VALUE = "present"


@dataclass(frozen=True)
class NodeTaint:
    """A taint of a node."""

    key: str
    value: str
    effect: Effect

    @property
    def toleration(self) -> dict[str, str]:
        """Return the toleration of exactly this taint."""
        return toleration(self.key, self.value, self.effect)


@dataclass(frozen=True)
class Placement:
    """How a pod is placed on a pool's nodes, besides its requests."""

    node_selector: dict[str, str]
    tolerations: list[dict[str, str]]
    resource: str | None
    """The extended resource it asks for, if the pool has accelerators."""
    resources: dict[str, int] = field(default_factory=dict)
    """Amount of it on one node, by type."""


def types(pool: NodePoolBase) -> list[InstanceType]:
    """The pool's types; all are known once the settings are parsed."""
    return [catalog.instance_type(name) for name in pool.instance_types]


def labels(name: str, pool: NodePoolBase) -> dict[str, str]:
    """All labels of the pool's nodes that are not Kubernetes' own."""
    found = {**pool.labels, POOL_LABEL: name}
    first = types(pool)[0]
    if model := node_capacity.accelerator(first):
        found[ACCELERATOR_LABEL] = model.lower().replace(" ", "-")
    if first.gpu:
        found[LAYOUT_LABEL] = pool.gpu.mig_profile or pool.gpu.mode
    return found


def taints(pool: NodePoolBase) -> list[NodeTaint]:
    """All taints of the pool's nodes: accelerators are kept for who asks for them."""
    found = [NodeTaint(t.key, t.value, t.effect) for t in pool.taints]
    keys = {"nvidia": NVIDIA_TAINT, "neuron": NEURON_RESOURCE}
    if key := keys.get(node_capacity.driver_kind(types(pool)[0])):
        found.append(NodeTaint(key, TAINT_VALUE, "NoSchedule"))
    return found


def resource(pool: NodePoolBase) -> str | None:
    """The extended resource that pods ask for, or none."""
    names = {"nvidia": pool.gpu.resource(), "neuron": NEURON_RESOURCE}
    return names.get(node_capacity.driver_kind(types(pool)[0]))


def resource_count(pool: NodePoolBase, t: InstanceType) -> int:
    """Return the amount of that resource on one node of the type."""
    devices = node_capacity.devices(t)
    if pool.gpu.mode == "time_slicing":
        return devices * (pool.gpu.replicas or 1)
    if pool.gpu.mode == "mig" and t.gpu:
        profiles = {p.name: p for p in catalog.accelerator(t.gpu.model).mig_profiles}
        return devices * profiles[str(pool.gpu.mig_profile)].instances
    return devices


def placement(name: str, pool: NodePoolBase) -> Placement:
    """For a workload that asks for this pool."""
    asked = resource(pool)
    counts = {t.name: resource_count(pool, t) for t in types(pool)} if asked else {}
    return Placement(
        node_selector={POOL_LABEL: name},
        tolerations=[taint.toleration for taint in taints(pool)],
        resource=asked,
        resources=counts,
    )


def zones(pool: NodePoolBase, network: tuple[str, ...]) -> tuple[str, ...]:
    """The zones that nodes may be in."""
    if isinstance(pool, ReservedPool) and pool.reservation:
        return (pool.reservation.zone,)
    return pool.zones or network


def max_pods(pool: NodePoolBase) -> int:
    """Pods of a node: of several types the least, since one template fits all."""
    return pool.max_pods or min(node_capacity.default_pods(t) for t in types(pool))


def efa(pool: NodePoolBase) -> bool:
    """Return whether the nodes get Elastic Fabric Adapters."""
    if not isinstance(pool, ReservedPool):
        return False
    if pool.efa is not None:
        return pool.efa
    known = types(pool)
    alike = len({(t.efa_interfaces, t.network_cards) for t in known}) == 1
    return alike and pool.max_nodes > 1 and known[0].efa_interfaces > 1


def own_placement_group(pool: NodePoolBase, network: tuple[str, ...]) -> bool:
    """Whether the pool gets a cluster placement group made for it.

    It helps where nodes talk to each other all the time, that is with EFA, and costs
    launches elsewhere: all nodes must find room in one part of one zone.
    """
    if not isinstance(pool, ReservedPool) or pool.reservation:
        return False
    if pool.placement_group is not None:
        return pool.placement_group
    fits = all("cluster" in t.placement for t in types(pool))
    return fits and efa(pool) and len(zones(pool, network)) == 1


def ami(pool: NodePoolBase) -> str:
    """Key of the image in amis.lock.yaml, given or derived; all types share it."""
    return pool.ami or node_capacity.ami_key(types(pool)[0])
