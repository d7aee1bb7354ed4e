"""What rollouts know of a training job that may have GPUs of their pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PoolJob:
    """A job with GPUs. One run of it at a time has all its workers."""

    stack: str
    name: str
    pool: str | None
    """None: any nodes of its types."""
    instance_types: tuple[str, ...]
    workers: int
    """Each a pod."""
    worker_gpus: int
    worker_cpu_millicores: int
    worker_memory_mib: int
    preemptible: bool
    checkpoint_seconds: int | None
    """How often it writes a checkpoint; None: never."""
    stop_seconds: int
    """Time that a worker gets to end."""

    @property
    def full_name(self) -> str:
        """With its stack, as in jobs.prod/tuning."""
        return f"{self.stack}/{self.name}"

    @property
    def gpus(self) -> int:
        """Of all its workers."""
        return self.workers * self.worker_gpus

    def plain(self) -> dict[str, Any]:
        """What an eviction means, for who reads the rollout's ConfigMap."""
        return {
            "job": self.full_name,
            "gpus": self.gpus,
            "lost_seconds": self.checkpoint_seconds,
            "stop_seconds": self.stop_seconds,
        }
