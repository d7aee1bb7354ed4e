"""What our server and its adapters have in common: port, paths, variables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from components.contracts import PORTS
from components.serving.runtimes.base import MODELS_FOLDER, Program, Runtime
from components.serving.runtimes.facts import Facts
from components.serving.runtimes.runtime_metrics import COMMON
from components.serving.settings.replica_args import ReplicaArgs
from components.serving.settings.request_settings import PredictionLog

PORT, GRPC_PORT = PORTS["model_server"]["http"], PORTS["model_server"]["grpc"]
PREDICTION_LOG_FOLDER = "/var/log/predictions"
PREFIX = "MODEL_SERVER_"
_MIB = 2**20


@dataclass(frozen=True)
class Memory:
    """What a server takes of its container's memory."""

    server_mib: int
    """Resident before the first request, with a model of a few KiB."""
    per_body: int
    """What reading a JSON body takes, in times its size, itself included."""


OWN_MEMORY = Memory(server_mib=80, per_body=5)
"""Measured (2026-11-29 and 30). Numbers are read in blocks: at most 4.2 times, of
one-digit values that are 8 bytes each for the model, on bodies of 8 to 57 MiB. Texts
take up to 26 times; a stack does not know which models take some, so the server refuses
to start without that room."""
SHARES = 2
"""Memory beside these is divided: bodies that are being received, and values that wait
for the model. Each must hold the largest body."""
BUFFERED_MIB = 64
"""Of each of the first two, the most."""

SERVER = Facts(
    http=PORT,
    ready="/readyz",
    live="/healthz",
    public=("/infer", "/v2", "/openapi.json"),
    metrics=COMMON,
    metrics_port=PORT,
    deregisters=True,
    bounds_requests=True,
    logs_predictions=True,
    runs_here=True,
)
ADAPTER = replace(
    SERVER,
    # What it has at /openapi.json is the application's own.
    public=("/infer", "/v2"),
    cannot=("speak gRPC",),
)


class Ours(Runtime):
    """Set by environment variables (images/model_server/README.md)."""

    MEMORY: ClassVar[Memory] = OWN_MEMORY

    def program(self, model: str, args: ReplicaArgs) -> Program:
        found = environment(model, args, self.MEMORY)
        if self.grpc_port:
            found["GRPC_PORT"] = str(self.grpc_port)
        return Program(
            environment={f"{PREFIX}{key}": value for key, value in found.items()},
            namespace_variable=f"{PREFIX}NAMESPACE",
            # Else answers, metrics and log name the revision that model.yaml has.
            revision_variable=f"{PREFIX}REVISION",
        )

    def own_variables(self, args: ReplicaArgs) -> frozenset[str]:
        logged = args.model_copy(update={"prediction_log": PredictionLog()})
        return super().own_variables(logged) | {f"{PREFIX}GRPC_PORT"}

    def mount_points(self) -> frozenset[str]:
        return super().mount_points() | {PREDICTION_LOG_FOLDER}


def spare_kib(args: ReplicaArgs, memory: Memory) -> int:
    """Memory beside the server's own and the body that is being read."""
    kib = (args.resources.memory_limit_mib - memory.server_mib) * 1024
    return kib - memory.per_body * args.requests.max_body_kib


def buffered_kib(args: ReplicaArgs, memory: Memory, shares: int = SHARES) -> int:
    """Bodies that are received at the same time, and as much again that waits."""
    most = min(spare_kib(args, memory) // shares, BUFFERED_MIB * 1024)
    return max(args.requests.max_body_kib, most)


def environment(model: str, args: ReplicaArgs, memory: Memory) -> dict[str, str]:
    """The server's settings without the prefix."""
    found = {
        "MODELS": MODELS_FOLDER,
        "MODEL": model,
        "PORT": str(PORT),
        "ARM": args.arm,
        "DEREGISTRATION_SECONDS": str(args.lifecycle.deregistration_seconds),
        "DRAIN_SECONDS": str(args.lifecycle.drain_seconds),
        "REQUEST_TIMEOUT_SECONDS": str(args.lifecycle.longest_request_seconds),
        "MAX_BODY_BYTES": str(args.requests.max_body_kib * 1024),
        "MAX_BUFFERED_BYTES": str(buffered_kib(args, memory) * 1024),
        "MAX_REQUEST_ROWS": str(args.requests.max_request_rows),
        "MAX_BATCH_ROWS": str(args.requests.max_batch_rows),
        "MAX_QUEUE_ROWS": str(args.requests.max_queue_rows),
        "LOG_LEVEL": args.log_level,
        "PREDICTION_LOG": "",
    }
    log = args.prediction_log
    if log.enabled:
        found |= {
            "PREDICTION_LOG": PREDICTION_LOG_FOLDER,
            "PREDICTION_LOG_TOTAL_BYTES": str(log.total_mib * _MIB),
            "PREDICTION_LOG_FILE_BYTES": str(log.file_mib * _MIB),
            "PREDICTION_LOG_FILE_SECONDS": str(log.file_seconds),
        }
        if args.unit_header:
            found["PREDICTION_LOG_UNIT_HEADER"] = args.unit_header
    return found
