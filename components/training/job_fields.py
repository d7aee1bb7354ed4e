"""Settings of a training job, and values derived from them."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.cluster.nodes.taint import LabelKey, NodeValue, Taint
from components.images import ImageReference
from components.serving.settings.egress_settings import Egress
from components.serving.settings.resource_settings import Resources
from components.serving.settings.secret_settings import SecretUse
from components.serving.settings.service_account_settings import ServiceAccount
from components.serving.settings.variable_types import (
    SecretName,
    VariableName,
    VariableValue,
)
from components.setting_types import Decimal, DnsLabel, Whole
from components.settings import Settings, refuse
from components.training import frameworks
from components.training.accelerator_settings import Accelerator
from components.training.frameworks import Framework
from components.training.schedule import Schedule
from components.training.volume_settings import Checkpoint, Claim, Data, Result

OWN = ("CHECKPOINT", "CHECKPOINT_SECONDS", "RESULT", "DATA")
HOME = "HOME"
SIDECAR, WAIT, WORKER = "gang", "gang-wait", "worker"
"""Containers of a worker's pod (components/training/gang.py)."""
_INTERPRETER = re.compile(r"[A-Za-z0-9_./-]+")


def _interpreter(text: str) -> str:
    if not _INTERPRETER.fullmatch(text):
        refuse("not a program's name", "give one such as python3 or /opt/bin/python")
    return text


Word = Annotated[str, Field(min_length=1)]
"""One word of a command."""


class Restarts(Settings):
    """Restarts: what, and how often; each continues from the checkpoint."""

    worker_restarts: Annotated[Whole, Field(ge=0, le=1000)] = 0
    """Restarts of a worker's processes in its pod, by torchrun."""
    gang_restarts: Annotated[Whole, Field(ge=0, le=100)] = 0
    """How often each worker's pod may be replaced after failures. Evictions,
    preemptions and lost nodes do not count."""


class RetryWith(Settings):
    """More memory for the next run after workers ran out of it.

    `slipway run --wait` starts that run. Nothing does for scheduled runs.
    """

    memory_factor: Annotated[Decimal, Field(gt=1, le=8)] = 1.5
    """Factor by which the worker's memory request and limit grow with each run."""
    most_memory_mib: Annotated[Whole, Field(ge=64, le=4_194_304)]
    """Largest memory limit of a worker, in MiB; a run that had it is not retried."""

    def most_request_mib(self, first: Resources) -> int:
        """Return the request, in MiB, of a worker with the maximum limit.

        Both grow by the same factor.
        """
        most = self.most_memory_mib * first.memory_request_mib
        return -(-most // first.memory_limit_mib)


class JobFields(Settings):
    """A gang of workers that train together: created by the stack, started by a run."""

    framework: Framework = "command"
    """How the workers find each other: by torchrun, by TF_CONFIG, by
    jax.distributed.initialize, or by the command itself."""
    image: ImageReference
    """Image of the program."""
    command: Annotated[tuple[Word, ...], Field(min_length=1)]
    """The program and its arguments; with torch, what torchrun starts in each
    process."""
    nodes: Annotated[Whole, Field(ge=1, le=1000)] = 1
    """Number of workers, each a pod."""
    processes_per_node: Annotated[Whole | None, Field(ge=1, le=64)] = None
    """Processes that torchrun starts in each worker; default: one for each of its
    GPUs, or one."""
    resources: Resources = Resources()
    """CPU and memory of one worker."""
    shared_memory_mib: Annotated[Whole, Field(ge=64, le=1_048_576)] = 64
    """Size of /dev/shm, in MiB, a part of the worker's memory: data loaders and NCCL
    exchange data in it."""
    scratch_mib: Annotated[Whole, Field(ge=64, le=1_048_576)] = 1024
    """Size of /tmp, which is the program's home as well, in MiB."""
    accelerator: Accelerator | None = None
    """GPUs of each worker, and adapters; without it the job runs on CPUs."""
    gang: Literal["none", "native", "kueue"] = "none"
    """Gang scheduling, which starts all workers or none: no gang scheduling, that of
    Kubernetes (alpha in 1.36, so not on EKS), or Kueue."""
    queue: DnsLabel | None = None
    """Kueue's LocalQueue in the jobs' namespace; needs `gang: kueue`."""
    restarts: Restarts = Restarts()
    """Restarts after failures."""
    retry_with: RetryWith | None = None
    """More memory for the next run if a worker ran out of memory. The run then ends
    immediately without `restarts`, which would fail again."""
    start_timeout_seconds: Annotated[Whole, Field(ge=10, le=86_400)] = 600
    """How long a worker waits until all workers run; then the run fails and releases
    its nodes."""
    deadline_seconds: Annotated[Whole, Field(ge=60, le=31_536_000)] = 86_400
    """Longest time of a run, including restarts and waiting for nodes."""
    stop_seconds: Annotated[Whole, Field(ge=1, le=3600)] = 30
    """Time after SIGTERM in which a program can write a checkpoint."""
    keep_seconds: Annotated[Whole, Field(ge=60, le=31_536_000)] = 604_800
    """How long a finished run and its logs are kept."""
    schedule: Schedule | None = None
    """When runs start: a cron schedule of five fields in UTC, for example "15 2 * * *".
    A run is skipped while the previous scheduled run is active; runs of `slipway run`
    do not count. Each run finds the checkpoint of the previous one, so a finished
    program must start from scratch itself."""
    checkpoint: Checkpoint | None = None
    """Storage of the program's state; required for restarts, and for `preemptible`."""
    preemptible: bool = False
    """Whether pods without a PriorityClass, such as those of model servers, may evict
    the worker where they find no room. It goes on from its checkpoint once there is
    room again (docs/how-to/scarce-gpus.md). The platform makes the PriorityClass."""
    data: Data | None = None
    """Training data."""
    result: Result | None = None
    """Destination of the trained model."""
    interpreter: Annotated[str, AfterValidator(_interpreter)] = "python3"
    """Path of Python 3.8 or later in the image, with which the workers wait for each
    other."""
    environment: dict[VariableName, VariableValue] = Field(
        default={}, validate_default=True
    )
    """Environment variables of the program, in addition to those that Slipway sets:
    each value is text."""
    accept_plain_text: tuple[VariableName, ...] = ()
    """Variables of `environment` whose values look like secrets but are not."""
    secrets: dict[SecretName, SecretUse] = Field(default={}, validate_default=True)
    """Secrets of the jobs' namespace, by name, and how the program gets their keys."""
    egress: tuple[Egress, ...] = ()
    """Destinations that workers may reach besides each other, the cluster's DNS and,
    with a bucket, HTTPS."""
    node_selector: dict[LabelKey, NodeValue] = Field(default={}, validate_default=True)
    """Labels that a worker's node must have."""
    tolerations: tuple[Taint, ...] = ()
    """Taints that workers tolerate."""
    service_account: ServiceAccount = ServiceAccount()
    """The pods' identity in the cloud."""

    @property
    def digest(self) -> str:
        """Return a digest of these settings, including those of subclasses."""
        said = self.model_dump_json(exclude_defaults=True)
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    @property
    def processes(self) -> int:
        """Return the number of processes of one worker."""
        if self.processes_per_node is not None:
            return self.processes_per_node
        return self.accelerator.worker_gpus if self.accelerator else 1

    @property
    def claims(self) -> dict[str, Claim]:
        """Return the claims by the setting that names them."""
        given = {"checkpoint": self.checkpoint, "result": self.result}
        return {name: place for name, place in given.items() if place}

    @property
    def uses_buckets(self) -> bool:
        """Return whether the program reads or writes a bucket."""
        places = (*self.claims.values(), self.data)
        return any(place and place.bucket for place in places)

    @property
    def own_variables(self) -> frozenset[str]:
        """Return the variables that are set for the program."""
        places = {f"SLIPWAY_{name}" for name in OWN}
        return frozenset({*frameworks.own_names(self.framework), *places, HOME})
