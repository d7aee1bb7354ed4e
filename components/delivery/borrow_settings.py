"""What can be chosen about GPUs that a rollout takes from training jobs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from components.setting_types import ModelName
from components.settings import Settings, refuse

LAYER = "jobs."


def _stack(value: str) -> str:
    if not value.startswith(LAYER) or value == LAYER:
        refuse(
            "not a stack of the layer that has training jobs",
            f"give {LAYER}<environment>, for example jobs.prod",
        )
    return value


JobsStack = Annotated[str, AfterValidator(_stack)]
Names = Annotated[tuple[ModelName, ...], Field(min_length=1)]


class BorrowSettings(Settings):
    """GPUs of training jobs, which the new revision's replicas may take.

    Kubernetes evicts workers of the jobs where a replica finds no room. They go on from
    their checkpoints once there is room again.
    """

    jobs: Annotated[dict[JobsStack, Names], Field(min_length=1)]
    """All preemptible jobs of the model's pool, by their stack: those that may be
    evicted. Their stack names the same `cluster.stack` as the models'."""
