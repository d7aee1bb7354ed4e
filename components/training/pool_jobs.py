"""The jobs of a stack as rollouts see them that want GPUs of the same pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components import images
from components.delivery.pool_job import PoolJob
from components.settings import parse
from components.training.settings import JobsSettings
from components.training.training_settings import TrainingJobArgs

FIELDS = (
    *("accelerator", "checkpoint", "nodes", "preemptible"),
    *("resources", "retry_with", "stop_seconds"),
)
"""What decides about a job's GPUs, and about evicting it."""
_UNREAD = {"image": f"{images.LOADED}/job@sha256:{'0' * 64}", "command": ["job"]}
"""Who serves models may not have the images of jobs, or their encrypted values."""


def of(stack: str, training: object, file: str) -> tuple[PoolJob, ...]:
    """Those with GPUs.

    `training`: what the stack's file says of them; `file`: its name. SettingsError if
    that is wrong.
    """
    read: object = training
    if isinstance(training, Mapping):
        read = {name: _read(job) for name, job in training.items()}
    if not read:
        return ()
    settings = parse(JobsSettings, {"training": read}, file)
    found = (_job(stack, name, job) for name, job in settings.training.items())
    return tuple(job for job in found if job)


def _read(job: object) -> object:
    if not isinstance(job, Mapping):
        return job
    said: dict[str, Any] = {key: job[key] for key in FIELDS if key in job}
    return _UNREAD | said


def _job(stack: str, name: str, job: TrainingJobArgs) -> PoolJob | None:
    gpus, asked, more = job.accelerator, job.resources, job.retry_with
    if gpus is None:
        return None
    return PoolJob(
        stack=stack,
        name=name,
        pool=gpus.pool,
        instance_types=gpus.instance_types,
        workers=job.nodes,
        worker_gpus=gpus.worker_gpus,
        worker_cpu_millicores=asked.cpu_request_millicores,
        worker_memory_mib=more.most_request_mib(asked)
        if more
        else asked.memory_request_mib,
        preemptible=job.preemptible,
        checkpoint_seconds=job.checkpoint.every_seconds if job.checkpoint else None,
        stop_seconds=job.stop_seconds,
    )
