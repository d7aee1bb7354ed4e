"""The interface of all runtimes."""

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
"""Folder of a server's generated configuration, unless the runtime overrides it."""
SCRATCH_FOLDER = "/tmp"  # noqa: S108 the pod's own
SHARED_MEMORY_FOLDER = "/dev/shm"  # noqa: S108 the pod's own


@dataclass(frozen=True)
class Program:
    """The container's program; empty parts keep the image's own."""

    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    namespace_variable: str = ""
    """Variable for the pod's namespace."""
    revision_variable: str = ""
    """Variable for the revision's name, if it has one."""


class Runtime(Settings):
    """A runtime; `FACTS` has the properties that hold for all settings."""

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
        """Return the generated configuration: content by absolute path."""
        return {}

    def own_variables(self, args: ReplicaArgs) -> frozenset[str]:
        """Return the variables that settings control, including those left out now."""
        program = self.program("", args)
        others = {program.namespace_variable, program.revision_variable}
        return frozenset({*program.environment, *others} - {""})

    def mount_points(self) -> frozenset[str]:
        """Return files and folders of the container that are, or may be, volumes."""
        folders = (MODELS_FOLDER, SCRATCH_FOLDER, SHARED_MEMORY_FOLDER)
        return frozenset({*folders, *self.files("")})

    def public_paths(self, model: str) -> tuple[str, ...]:
        """Return the server's paths that the gateway lets through."""
        return tuple(path.format(model=model) for path in self.FACTS.public)

    @property
    def metrics(self) -> RuntimeMetrics:
        """Return the server's metrics with these settings."""
        return self.FACTS.metrics

    @property
    def grpc_port(self) -> int | None:
        """Return the gRPC port, if gRPC is enabled."""
        return self.FACTS.grpc if getattr(self, "grpc", False) else None

    @property
    def accelerators(self) -> Gpus | None:
        """Return the GPUs of a replica."""
        return None

    @property
    def shared_memory_mib(self) -> int:
        """Return the size of /dev/shm; 0: the container's own 64 MiB."""
        return 0

    @property
    def pull_seconds(self) -> int:
        """Return the seconds for pulling the model, beyond those for images."""
        return 0

    @property
    def weights(self) -> str:
        """Return where weights are streamed from, if not from the model's image."""
        return ""

    def scaling_triggers(
        self,
        selector: str,  # noqa: ARG002 others' interface
    ) -> list[tuple[str, float]]:
        """Return more queries with per-replica targets, beside in-flight requests."""
        return []

    def problems(self, args: ReplicaArgs) -> Iterator[Problem]:
        """Report settings that the server does not support."""
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
