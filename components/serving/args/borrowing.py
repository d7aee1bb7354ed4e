"""A rollout with GPUs of training jobs: whether they can be had, and of which jobs.

Kubernetes evicts pods of lower priority where one finds no room, on one node at a time.
It knows no rollout: any preemptible worker of the pool may be evicted, so all of them
have to be named (docs/decisions/0069-jobs-lend-by-their-priority.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from components.cluster.nodes.node_pool_base import NodePoolBase
from components.delivery.borrow_settings import BorrowSettings
from components.delivery.pool_job import PoolJob
from components.serving.args import gpu_rollout, pool_room
from components.serving.args.gpu_rollout import Situation
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.args.parts import parts
from components.settings import Problem

Models = Mapping[str, ModelServerArgs]
Pools = Mapping[str, NodePoolBase]
Jobs = Mapping[str, Collection[PoolJob]]
"""By stack: all stacks of jobs of the cluster, also those without GPUs."""


def asked(models: Models) -> bool:
    """Whether any rollout borrows."""
    return any(_borrow(args) for args in models.values())


def _borrow(args: ModelServerArgs) -> BorrowSettings | None:
    return args.rollout.borrow if args.rollout else None


def evictable(models: Models, jobs: Jobs) -> dict[str, tuple[PoolJob, ...]]:
    """By model, the jobs that its rollout may evict."""
    return {
        name: tuple(
            job
            for stack, names in sorted(borrow.jobs.items())
            for job in jobs.get(stack, ())
            if job.name in names
        )
        for name, args in models.items()
        if (borrow := _borrow(args))
    }


def problems(models: Models, pools: Pools, jobs: Jobs) -> Iterator[Problem]:
    """Jobs that cannot lend, or are not named; too few GPUs when all of them have."""
    rollouts = gpu_rollout.situations(models, pools)
    for name, args in models.items():
        borrow, pool = _borrow(args), pool_room.pool_of(args) or ""
        if borrow is None or pool not in pools:
            continue
        path = _path(name)
        found = [*_named(path, borrow, pool, jobs), *_unnamed(path, borrow, pool, jobs)]
        yield from found
        if not found and name in rollouts:
            yield from _short(name, args, pools[pool], rollouts[name], jobs)


def _path(model: str) -> str:
    return f"models.{model}.rollout.borrow.jobs"


def _named(
    path: str, borrow: BorrowSettings, pool: str, jobs: Jobs
) -> Iterator[Problem]:
    for stack, names in borrow.jobs.items():
        if stack not in jobs:
            yield Problem(
                f"{path}.{stack}",
                stack,
                "no stack of this name has jobs in the models' cluster",
                f"give one of: {', '.join(sorted(jobs)) or 'none'}; it needs the same "
                "cluster.stack",
            )
            continue
        of_stack = {job.name: job for job in jobs[stack]}
        for index, name in enumerate(names):
            yield from _cannot(f"{path}.{stack}.{index}", name, of_stack, pool)


def _cannot(
    path: str, name: str, jobs: Mapping[str, PoolJob], pool: str
) -> Iterator[Problem]:
    """Report a job that cannot be evicted."""
    job = jobs.get(name)
    if job is None:
        known = [it.name for it in jobs.values() if it.preemptible and it.pool == pool]
        yield Problem(
            path,
            name,
            "the stack has no such training job with GPUs",
            f"name preemptible jobs of the pool {pool}; it has: "
            f"{', '.join(sorted(known)) or 'none'}",
        )
    elif job.pool != pool:
        yield Problem(
            path,
            name,
            f"it runs in the pool {job.pool}, and its GPUs are none of the pool {pool}"
            if job.pool
            else "it names no pool, so it is unknown whose GPUs it has",
            f"remove it, or set its accelerator.pool: {pool}",
        )
    elif job.checkpoint_seconds is None:
        yield Problem(
            path,
            name,
            "it writes no checkpoint, so evicting it would lose the whole run",
            "set its checkpoint and preemptible: true, or remove it here",
        )
    elif not job.preemptible:
        yield Problem(
            path,
            name,
            "its priority is that of model servers, so a replica would wait for its "
            "end and not evict it",
            "set its preemptible: true and run `slipway up` of its stack, or remove it "
            "here",
        )


def _unnamed(
    path: str, borrow: BorrowSettings, pool: str, jobs: Jobs
) -> Iterator[Problem]:
    for stack, of_stack in sorted(jobs.items()):
        for job in of_stack:
            is_named = job.name in borrow.jobs.get(stack, ())
            if job.preemptible and job.pool == pool and not is_named:
                yield Problem(
                    path,
                    {name: list(names) for name, names in borrow.jobs.items()},
                    f"{job.full_name} is preemptible and in the pool {pool}, so "
                    "Kubernetes may evict it as well",
                    f"add {job.name} to {stack}, or set its preemptible: false",
                )


def _short(
    model: str,
    args: ModelServerArgs,
    pool: NodePoolBase,
    found: tuple[str, Situation],
    jobs: Jobs,
) -> Iterator[Problem]:
    """Replicas for which there is no room even when the named jobs are evicted."""
    name, it = found
    if it.canary > it.free_replicas:
        return  # without any job; gpu_rollout says it
    assert args.rollout
    stay = [
        job
        for of_stack in jobs.values()
        for job in of_stack
        if not job.preemptible and _may_be_in(job, name, pool)
    ]
    (canary,) = (
        part.args for part in parts(model, args) if part.revision == args.rollout.to
    )
    held = sum(job.workers * _replicas(job, canary, it.replica_gpus) for job in stay)
    missing = it.canary - max(0, it.free_replicas - held)
    if missing > 0:
        names = ", ".join(f"{job.full_name} ({job.gpus} GPUs)" for job in stay)
        yield Problem(
            _path(model),
            it.canary,
            f"{args.rollout.to} needs {it.canary * it.replica_gpus} GPUs at rest, and "
            f"jobs of the pool {name} stay that cannot be evicted: {names}. "
            f"{missing * it.replica_gpus} GPUs are missing, and the rollout would wait "
            "for their end",
            "make them preemptible and name them, raise the pool's limit, or lower "
            f"min_replicas of {args.rollout.to}",
        )


def _may_be_in(job: PoolJob, name: str, pool: NodePoolBase) -> bool:
    if job.pool:
        return job.pool == name
    return bool({*job.instance_types} & {*pool.instance_types})


def _replicas(job: PoolJob, args: ModelServerArgs, gpus: int) -> int:
    """How many replicas a worker takes the place of, wherever it runs: at most.

    `args`: those of the replicas' revision. Of each resource
    floor((all - worker) / replica) is at least
    floor(all / replica) - ceil(worker / replica).
    """
    cpu, memory = pool_room.requests(args)
    return max(
        -(-job.worker_gpus // gpus),
        -(-job.worker_cpu_millicores // cpu),
        -(-job.worker_memory_mib // memory),
    )
