"""Check that the models' pools have room for their replicas.

The check uses a lower bound: the pool's type that holds the most replicas, without the
gaps that scheduling leaves. Whatever it rejects could never run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from components import catalog
from components.catalog import InstanceType
from components.cluster.nodes import (
    node_capacity,
    pod_room,
    pool_nodes,
    pool_reach,
)
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.args.parts import parts
from components.serving.settings.request_settings import (
    SHIPPER_CPU_MILLICORES,
    SHIPPER_MEMORY_MIB,
)
from components.settings import Problem

Pools = Mapping[str, NodePoolBase]


@dataclass(frozen=True)
class Demand:
    """A model's demand on its pool, in shares of the pool's maximum size."""

    model: str
    least: Fraction
    """Replicas at rest, and reserved ones."""
    most: Fraction
    """Maximum replicas of the autoscaler."""
    replicas: int
    """Maximum number of replicas."""


def pool_of(args: ModelServerArgs) -> str | None:
    """The pool that the model names, by its GPUs or by its node selector."""
    gpus = args.runtime.accelerators
    if gpus and gpus.pool:
        return gpus.pool
    return args.node_selector.get(pool_nodes.POOL_LABEL)


def problems(models: Mapping[str, ModelServerArgs], pools: Pools) -> Iterator[Problem]:
    """Nodes too small for a replica, and pools too small for all of them."""
    for name, pool in pools.items():
        here = {model: it for model, it in models.items() if pool_of(it) == name}
        for model, args in here.items():
            yield from _too_large(model, args, pool)
            if isinstance(pool, ElasticPool):
                yield from _too_slow(model, args, name, pool)
        demands = [it for m, args in here.items() if (it := demand(m, args, pool))]
        yield from _too_many(name, pool, demands)


def requests(args: ModelServerArgs) -> tuple[int, int]:
    """Millicores and MiB that a replica's pod requests, with its log shipper."""
    asked = args.resources
    ships = args.prediction_log.is_shipped
    return (
        asked.cpu_request_millicores + ships * SHIPPER_CPU_MILLICORES,
        asked.memory_request_mib + ships * SHIPPER_MEMORY_MIB,
    )


def replicas_per_node(args: ModelServerArgs, t: InstanceType) -> int:
    """How many replicas a node of the type holds if it holds nothing else."""
    (cpu, memory), gpus = requests(args), args.runtime.accelerators
    counts = [
        node_capacity.pod_cpu_millicores(t) // cpu,
        node_capacity.pod_memory_mib(t) // memory,
    ]
    if gpus:
        counts.append(node_capacity.devices(t) // gpus.replica_gpus)
    return max(0, min(counts))


def _too_large(
    model: str, args: ModelServerArgs, pool: NodePoolBase
) -> Iterator[Problem]:
    """Report a replica that exceeds a node; the runtime reports those with GPUs."""
    if args.runtime.accelerators:
        return
    asked = args.resources
    own = (asked.cpu_request_millicores, asked.memory_request_mib)
    cpu, memory = requests(args)
    yield from pod_room.problems(
        f"models.{model}.resources",
        pool,
        own,
        beside=(cpu - own[0], memory - own[1]),
        what="replica",
    )


def _too_slow(
    model: str, args: ModelServerArgs, name: str, pool: ElasticPool
) -> Iterator[Problem]:
    """Report nodes that are removed or replaced for age while a model still loads."""
    load = args.lifecycle.startup_seconds
    path = f"models.{model}.lifecycle.startup_seconds"
    if load > pool.model_load_seconds:
        yield Problem(
            path,
            load,
            f"pool {name} counts on {pool.model_load_seconds} s until a model answers, "
            "and may remove a node whose pod still loads one",
            f"set model_load_seconds of the pool to {load}, or give at most "
            f"{pool.model_load_seconds}",
        )
    lifetime = pool.expire_after_hours * 3600
    if load >= lifetime:
        yield Problem(
            path,
            load,
            f"nodes of pool {name} are replaced after {lifetime} s, before a model "
            "that takes so long has answered a request",
            "raise expire_after_hours of the pool, or shorten the start",
        )


def demand(model: str, args: ModelServerArgs, pool: NodePoolBase) -> Demand | None:
    """Return the model's demand; None if no node of the pool holds a replica."""
    every = parts(model, args)
    shares = [share(part.args, pool) for part in every]
    if None in shares:
        return None
    gpus = args.runtime.accelerators
    spare = gpus.spare_replicas if gpus else 0
    least = most = Fraction(0)
    for part, one in zip(every, shares, strict=True):
        assert one is not None
        scaling = part.args.scaling
        least += one * (0 if scaling.idle else scaling.min_replicas + spare)
        most += one * (scaling.max_replicas + spare)
    return Demand(model, least, most, sum(it.args.scaling.max_replicas for it in every))


def share(args: ModelServerArgs, pool: NodePoolBase) -> Fraction | None:
    """Return the pool's share of one replica; None if none of its nodes holds one."""
    room = max(
        it.nodes_max * replicas_per_node(args, catalog.instance_type(it.instance_type))
        for it in pool_reach.reach(pool)
    )
    return Fraction(1, room) if room else None


def _too_many(
    name: str, pool: NodePoolBase, demands: Sequence[Demand]
) -> Iterator[Problem]:
    limit = _limit(pool)
    at_rest = sum((it.least for it in demands), Fraction(0))
    if at_rest > 1:
        for it in demands:
            yield Problem(
                f"models.{it.model}.scaling.min_replicas",
                _percent(it.least),
                f"replicas at rest of {_names(demands)}, with those for which room is "
                f"kept, take {_percent(at_rest)} of the pool {name} ({limit})",
                "lower min_replicas or spare_replicas, or raise the pool's limit",
            )
        return
    for it in demands:
        total = at_rest - it.least + it.most
        if total > 1:
            beside = " with the others at rest" if len(demands) > 1 else ""
            yield Problem(
                f"models.{it.model}.scaling.max_replicas",
                it.replicas,
                f"so many replicas{beside} take {_percent(total)} of the pool {name} "
                f"({limit}); the autoscaler would wait for nodes that cannot come",
                "lower max_replicas, or raise the pool's limit",
            )


def _limit(pool: NodePoolBase) -> str:
    return ", or ".join(
        f"{it.nodes_max} of {it.instance_type}" for it in pool_reach.reach(pool)
    )


def _percent(share: Fraction) -> str:
    return f"{float(share * 100):.0f} %"


def _names(demands: Sequence[Demand]) -> str:
    return ", ".join(it.model for it in demands)
