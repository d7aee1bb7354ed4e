"""What every runtime says of its pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from components.serving.runtimes.facts import Facts
from components.serving.runtimes.runtime_metrics import RuntimeMetrics
from components.serving.settings.gpu_settings import Gpus
from components.serving.settings.replica_args import ReplicaArgs
from components.settings import ABSENT, Problem, Settings

MODELS_FOLDER = "/models"
FILES_FOLDER = "/etc/model-server"
"""Where the generated configuration of a server lies, unless it says otherwise."""
SCRATCH_FOLDER = "/tmp"  # noqa: S108 the pod's own
SHARED_MEMORY_FOLDER = "/dev/shm"  # noqa: S108 the pod's own


@dataclass(frozen=True)
class Program:
    """What runs in the container; empty parts leave the image's own."""

    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    namespace_variable: str = ""
    """Variable that is given the pod's namespace."""
    revision_variable: str = ""
    """Variable that is given the revision's name, where it has one."""


class Runtime(Settings):
    """What runs the model; `FACTS` is what is known of it without any setting."""

    FACTS: ClassVar[Facts]
    IMAGE_FIX: ClassVar[str] = ""
    """What to do where the image is left out, if that is known."""
    kind: str
    """Which server it is."""

    def program(self, model: str, args: ReplicaArgs) -> Program:
        """The container's program for a model of this name."""
        raise NotImplementedError

    def model_folder(self, model: str) -> str:
        """Where the model's image is mounted."""
        return f"{MODELS_FOLDER}/{model}"

    def files(self, model: str) -> dict[str, str]:  # noqa: ARG002 others' interface
        """Generated configuration: content by absolute path."""
        return {}

    def own_variables(self, args: ReplicaArgs) -> frozenset[str]:
        """Variables that settings set: also those that these leave out."""
        program = self.program("", args)
        others = {program.namespace_variable, program.revision_variable}
        return frozenset({*program.environment, *others} - {""})

    def mount_points(self) -> frozenset[str]:
        """Folders and files of the container that are volumes, or may be."""
        folders = (MODELS_FOLDER, SCRATCH_FOLDER, SHARED_MEMORY_FOLDER)
        return frozenset({*folders, *self.files("")})

    def public_paths(self, model: str) -> tuple[str, ...]:
        """What of the server the gateway lets through."""
        return tuple(path.format(model=model) for path in self.FACTS.public)

    @property
    def metrics(self) -> RuntimeMetrics:
        """What the server measures with these settings."""
        return self.FACTS.metrics

    @property
    def grpc_port(self) -> int | None:
        """The port of gRPC, if it is to be opened."""
        return self.FACTS.grpc if getattr(self, "grpc", False) else None

    @property
    def accelerators(self) -> Gpus | None:
        """The GPUs of a replica."""
        return None

    @property
    def shared_memory_mib(self) -> int:
        """Size of /dev/shm; 0: the container's own 64 MiB."""
        return 0

    @property
    def pull_seconds(self) -> int:
        """What pulling the model takes longer than images do, in seconds."""
        return 0

    @property
    def weights(self) -> str:
        """Where weights are streamed from, if they are not in the model's image."""
        return ""

    def scaling_triggers(
        self,
        selector: str,  # noqa: ARG002 others' interface
    ) -> list[tuple[str, float]]:
        """Queries that the autoscaler holds per replica, besides requests in flight."""
        return []

    def problems(self, args: ReplicaArgs) -> Iterator[Problem]:
        """What the server cannot do with these arguments."""
        if "image" not in args.model_fields_set and self.kind != "onnx":
            yield Problem(
                "image",
                ABSENT,
                f"the default image is Slipway's own server, not {self.kind}",
                self.IMAGE_FIX or f"give the image of your {self.kind} server",
            )
        for given, taken in (
            ("requests", self.FACTS.bounds_requests),
            ("prediction_log", self.FACTS.logs_predictions),
        ):
            if not taken and given in args.model_fields_set:
                yield Problem(
                    given,
                    getattr(args, given).model_dump(exclude_unset=True),
                    f"{self.kind} has no such setting, so it would have no effect",
                    "remove it",
                )
        if args.scaling.signal == "inflight" and not self.metrics.inflight:
            yield Problem(
                "scaling.signal",
                "inflight",
                f"{self.kind} does not report its requests in flight",
                "set signal: cpu",
            )
