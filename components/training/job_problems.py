"""Check for conflicts among the settings of one training job."""

from __future__ import annotations

from collections.abc import Iterator

from components import variable_problems
from components.cluster.nodes.pool_nodes import POOL_LABEL
from components.security import secret_shapes
from components.settings import ABSENT, Problem
from components.training.job_fields import JobFields

LEAST_WORKER_RESTARTS = 5
"""While a pod is replaced, torchrun of the other workers tries to connect and restarts
its processes: three times in the pod's 80 s when tested (2026-11-28, torch 2.15)."""
TORCHRUN = ("torchrun", "accelerate", "deepspeed")


def problems(job: JobFields) -> Iterator[Problem]:
    """Report all problems; paths are relative to the job's settings."""
    yield from _restarts(job)
    yield from _preemptible(job)
    yield from _times(job)
    yield from _gang(job)
    yield from _torch(job)
    yield from _volumes(job)
    yield from _memory(job)
    yield from _retry(job)
    yield from _nodes(job)
    yield from secret_shapes.problems(job.environment, job.accept_plain_text, "Job")
    yield from variable_problems.problems(
        job.environment,
        job.secrets,
        job.own_variables,
        whose=f"the job ({job.framework})",
    )
    yield from _secrets(job)


def _restarts(job: JobFields) -> Iterator[Problem]:
    """Report work that would restart from scratch each time, and useless restarts."""
    again = job.restarts
    if (again.worker_restarts or again.gang_restarts) and not job.checkpoint:
        yield Problem(
            "restarts",
            again.model_dump(exclude_unset=True),
            "without a checkpoint each restart would begin from nothing",
            "set checkpoint, or remove restarts",
        )
    if again.worker_restarts and job.framework != "torch":
        yield Problem(
            "restarts.worker_restarts",
            again.worker_restarts,
            f"only torchrun restarts processes, and framework is {job.framework}",
            "remove it, and set restarts.gang_restarts",
        )
    few = again.worker_restarts < LEAST_WORKER_RESTARTS
    if job.framework == "torch" and job.nodes > 1 and again.gang_restarts and few:
        yield Problem(
            "restarts.worker_restarts",
            again.worker_restarts,
            "while a pod is replaced, torchrun of the other workers uses up several "
            "restarts, and would fail",
            f"give at least {LEAST_WORKER_RESTARTS}, for example 10",
        )


def _preemptible(job: JobFields) -> Iterator[Problem]:
    """Work that an eviction would lose; workers that would wait for one evicted."""
    if not job.preemptible:
        return
    if not job.checkpoint:
        yield Problem(
            "preemptible",
            True,
            "without a checkpoint each eviction would lose the whole run",
            "set checkpoint, or remove preemptible",
        )
    if job.nodes > 1:
        yield Problem(
            "preemptible",
            True,
            f"a model server evicts one of the {job.nodes} workers, and the others "
            "would keep their GPUs while they wait for it",
            "set nodes: 1, or remove preemptible",
        )
    if job.accelerator and not job.accelerator.pool:
        yield Problem(
            "accelerator.pool",
            ABSENT,
            "it is unknown which rollout could have the worker's GPUs",
            "name the pool, or remove preemptible",
        )


def _times(job: JobFields) -> Iterator[Problem]:
    """Report a run that ends before it begins."""
    wait = job.start_timeout_seconds
    if job.nodes > 1 and job.deadline_seconds <= wait:
        yield Problem(
            "deadline_seconds",
            job.deadline_seconds,
            f"workers may wait start_timeout_seconds = {wait} s for each other, so the "
            "run could end before it begins",
            f"give more than {wait}, or lower start_timeout_seconds",
        )


def _gang(job: JobFields) -> Iterator[Problem]:
    """Report a gang of one, a queue that nothing reads, and a missing queue."""
    if job.gang == "native" and job.nodes == 1:
        yield Problem(
            "gang",
            job.gang,
            "one worker does not need gang scheduling, so it would have no effect",
            "remove it, or raise nodes",
        )
    if job.queue and job.gang != "kueue":
        yield Problem(
            "queue",
            job.queue,
            f"only Kueue has queues, and gang is {job.gang}",
            "set gang: kueue, or remove queue",
        )
    if job.gang == "kueue" and not job.queue:
        yield Problem(
            "queue",
            ABSENT,
            "Kueue starts a job only from a queue",
            "give the name of a LocalQueue in the jobs' namespace",
        )


def _torch(job: JobFields) -> Iterator[Problem]:
    """Report settings only for torchrun, nested torchrun, processes without a GPU."""
    given = job.processes_per_node
    if job.framework != "torch":
        if given is not None:
            yield Problem(
                "processes_per_node",
                given,
                f"only torchrun starts several, and framework is {job.framework}",
                "remove it, or set framework: torch",
            )
        return
    if job.command[0].rpartition("/")[2] in TORCHRUN:
        yield Problem(
            "command.0",
            job.command[0],
            "framework: torch already starts the command by torchrun",
            "give the program alone, such as [python, -m, train]; or set "
            "framework: command",
        )
    gpus = job.accelerator.worker_gpus if job.accelerator else None
    if gpus and given and given > gpus:
        yield Problem(
            "processes_per_node",
            given,
            f"a worker has {gpus} GPUs, so some processes would have none",
            f"give at most {gpus}, or raise accelerator.worker_gpus",
        )


def _volumes(job: JobFields) -> Iterator[Problem]:
    """Report claims of one node that others need, and conflicting claims."""
    for name, place in job.claims.items():
        if job.nodes > 1 and place.claim and not place.many_nodes:
            yield Problem(
                f"{name}.many_nodes",
                place.many_nodes,
                f"only one node could mount the claim, and the job has {job.nodes} "
                "workers",
                "set many_nodes: true with a class that has it (EFS, not EBS), give a "
                "bucket, or set nodes: 1",
            )
    first, second = job.checkpoint, job.result
    if first and second and first.claim and first.claim == second.claim:
        kinds = [
            (one.size_gib, one.storage_class, one.many_nodes) for one in (first, second)
        ]
        if kinds[0] != kinds[1]:
            yield Problem(
                "result.claim",
                second.claim,
                "checkpoint has the same claim with other settings",
                "give both the same size_gib, storage_class and many_nodes",
            )


def _memory(job: JobFields) -> Iterator[Problem]:
    """Report files in memory that exceed the worker's memory."""
    most = job.resources.memory_limit_mib
    if job.shared_memory_mib >= most:
        yield Problem(
            "shared_memory_mib",
            job.shared_memory_mib,
            f"it is a part of the worker's memory, which is {most} MiB",
            "lower it, or raise resources.memory_limit_mib",
        )


def _retry(job: JobFields) -> Iterator[Problem]:
    """Report a retry without more memory, or with more than any node has."""
    if not job.retry_with:
        return
    asked, most = job.resources, job.retry_with.most_memory_mib
    if most <= asked.memory_limit_mib:
        yield Problem(
            "retry_with.most_memory_mib",
            most,
            "a worker has resources.memory_limit_mib = "
            f"{asked.memory_limit_mib} in the first run already",
            f"give more than {asked.memory_limit_mib}, or remove retry_with",
        )
    elif job.accelerator:
        request = job.retry_with.most_request_mib(asked)
        small = job.accelerator.room(
            "accelerator", asked.cpu_request_millicores, request
        )
        fits = not list(
            job.accelerator.room(
                "accelerator", asked.cpu_request_millicores, asked.memory_request_mib
            )
        )
        for found in small if fits else ():
            yield Problem(
                "retry_with.most_memory_mib",
                most,
                f"a worker would request {request} MiB, more than {found.value} has "
                "for pods",
                "lower it, lower resources.memory_request_mib, or give a larger type",
            )


def _nodes(job: JobFields) -> Iterator[Problem]:
    """Report types without capacity, and a label that the pool already selects."""
    if not job.accelerator:
        return
    asked = job.resources
    yield from job.accelerator.room(
        "accelerator", asked.cpu_request_millicores, asked.memory_request_mib
    )
    if pool := job.node_selector.get(POOL_LABEL):
        chosen = job.accelerator.pool
        yield Problem(
            f"node_selector.{POOL_LABEL}",
            pool,
            f"accelerator.pool already sets it: {chosen}"
            if chosen
            else "the GPUs of the pool would not be compared with accelerator",
            "remove it" if chosen else f"give accelerator.pool: {pool}, and remove it",
        )


def _secrets(job: JobFields) -> Iterator[Problem]:
    """Report Secrets that nothing would create."""
    for name, use in sorted(job.secrets.items()):
        if use.aws:
            yield Problem(
                f"secrets.{name}.aws",
                use.aws.secret,
                "the stack makes no ExternalSecret for a job",
                "make the Secret yourself, and remove aws",
            )
