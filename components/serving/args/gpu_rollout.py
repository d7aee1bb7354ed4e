"""Check for enough GPUs for a new revision's replicas, and find alternatives.

Stable and canary run side by side during a rollout. If the pool cannot run both, the
canary's pods and the rollout wait forever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from components.cluster.nodes.node_pool_base import NodePoolBase
from components.serving.args import pool_room
from components.serving.args.lending import LEAST_REPLICAS
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.args.parts import parts
from components.settings import Problem

Models = Mapping[str, ModelServerArgs]
Pools = Mapping[str, NodePoolBase]


class Method(StrEnum):
    """How a revision can be compared with scarce GPUs, the best first."""

    SURGE = "surge"
    """Beside the old one, with separate GPUs."""
    LEND = "lend"
    """With replicas of the old one."""
    REPLAY = "replay"
    """Offline, on the GPUs of one replica, without callers' requests."""
    RECREATE = "recreate"
    """In place of the old one, in an announced window."""


@dataclass(frozen=True)
class Situation:
    """A rollout and the pool's free capacity for it."""

    replicas: int
    """Replicas of the old revision at rest."""
    canary: int
    """Replicas of the new one at rest."""
    replica_gpus: int
    free_replicas: int
    """Replicas for which the pool has GPUs, beside everything else at rest."""
    is_lent: bool = False
    """Whether the old revision already lends the replicas."""
    peak: float | None = None
    """Peak requests per second; None: unknown."""
    by_replica: float | None = None
    """Requests per second of one replica; None: unknown."""


@dataclass(frozen=True)
class Plan:
    """Possible alternatives; `methods` is empty if there are none."""

    methods: tuple[Method, ...]
    missing_gpus: int
    """GPUs for both revisions side by side."""


def choose(it: Situation) -> Plan:
    """Return the possible methods, the best first."""
    missing = max(0, it.canary - it.free_replicas) * it.replica_gpus
    if not missing:
        return Plan((Method.SURGE,), 0)
    possible = {
        Method.LEND: not it.is_lent and it.replicas >= LEAST_REPLICAS and _suffices(it),
        Method.REPLAY: it.free_replicas >= 1,
        Method.RECREATE: it.replicas == 1,
    }
    return Plan(tuple(method for method, is_it in possible.items() if is_it), missing)


def _suffices(it: Situation) -> bool:
    """Return whether all replicas but one can carry the peak, as far as known."""
    if it.peak is None or it.by_replica is None:
        return True
    return it.peak <= (it.replicas - 1) * it.by_replica


def problems(models: Models, pools: Pools) -> Iterator[Problem]:
    """Report rollouts that would wait forever for GPUs."""
    for name, (pool, situation) in situations(models, pools).items():
        plan = choose(situation)
        if plan.missing_gpus:
            yield _problem(name, models[name], pool, situation, plan)


def situations(models: Models, pools: Pools) -> dict[str, tuple[str, Situation]]:
    """Return the pool and the situation of rollouts on GPUs, by model."""
    found = {}
    for name, args in models.items():
        pool = pool_room.pool_of(args) or ""
        if args.rollout is None or not args.runtime.accelerators or pool not in pools:
            continue
        if situation := _situation(name, args, models, pools[pool]):
            found[name] = pool, situation
    return found


def without_canaries(models: Models, pools: Pools) -> dict[str, ModelServerArgs]:
    """Return the models without the new revisions for which there are no GPUs.

    This avoids a second report about the same pool.
    """
    found = dict(models)
    for name, (_, situation) in situations(models, pools).items():
        if choose(situation).missing_gpus:
            found[name] = _without_canary(models[name])
    return found


def _without_canary(args: ModelServerArgs) -> ModelServerArgs:
    assert args.rollout
    left = {it: own for it, own in args.revisions.items() if it != args.rollout.to}
    return args.model_copy(update={"revisions": left})


def _situation(
    name: str, args: ModelServerArgs, models: Models, pool: NodePoolBase
) -> Situation | None:
    """Return None if the pool is unknown, or if it cannot hold the old revisions.

    The latter is a problem of the pool, with or without a rollout.
    """
    rollout, gpus = args.rollout, args.runtime.accelerators
    assert rollout
    assert gpus
    here = {
        other: _without_canary(it) if other == name else it
        for other, it in models.items()
        if pool_room.pool_of(it) == pool_room.pool_of(args)
    }
    demands = [pool_room.demand(other, it, pool) for other, it in here.items()]
    by_revision = {part.revision: part.args for part in parts(name, args)}
    if rollout.to not in by_revision or rollout.from_ not in by_revision:
        return None
    share = pool_room.share(by_revision[rollout.to], pool)
    taken = sum((it.least for it in demands if it), Fraction(0))
    if share is None or taken > 1:
        return None
    stable = by_revision[rollout.from_].scaling
    lend, shadow = rollout.lend, rollout.shadow
    stated = lend or shadow
    return Situation(
        replicas=stable.min_replicas,
        canary=by_revision[rollout.to].scaling.min_replicas + gpus.spare_replicas,
        replica_gpus=gpus.replica_gpus,
        free_replicas=int((1 - taken) / share),
        is_lent=lend is not None,
        peak=stated.peak_requests_per_second if stated else None,
        by_replica=stable.rate_per_replica
        or (stated.replica_requests_per_second if stated else None),
    )


def _problem(
    name: str, args: ModelServerArgs, pool: str, it: Situation, plan: Plan
) -> Problem:
    rollout = args.rollout
    assert rollout
    free = it.free_replicas * it.replica_gpus
    return Problem(
        f"models.{name}.rollout.to",
        rollout.to,
        f"at rest it needs {it.canary * it.replica_gpus} GPUs in addition to all "
        f"others, and the pool {pool} has {free} more at its limit: "
        f"{plan.missing_gpus} GPUs are missing, and the rollout would wait for ever",
        "; or ".join(
            [*(_fix(method, rollout.from_) for method in plan.methods), _RAISE]
        ),
    )


_RAISE = "raise the pool's limit, or lower min_replicas or spare_replicas"


def _fix(method: Method, stable: str) -> str:
    return {
        Method.LEND: f"set rollout.lend: {stable} gives some replicas up meanwhile",
        Method.REPLAY: "compare offline on one replica's GPUs: `slipway replay`, "
        "without rollout",
        Method.RECREATE: "remove rollout and change model_image in a stated window: "
        "the old replica goes before the new one starts",
    }[method]
