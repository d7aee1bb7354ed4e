"""What is known of a kind of server before any model is given to it."""

from __future__ import annotations

from dataclasses import dataclass

from components.serving.runtimes.runtime_metrics import RuntimeMetrics

OPEN_INFERENCE = "inference.GRPCInferenceService"
"""The Open Inference Protocol's service of gRPC."""


@dataclass(frozen=True)
class Facts:
    """Ports, paths, manners, figures. `{model}` in a path: the model's name."""

    http: int
    """Port of requests and probes."""
    ready: str
    """Path that answers 200 once the model is loaded."""
    live: str
    public: tuple[str, ...]
    """Paths that the gateway lets through; all others stay inside the cluster."""
    metrics: RuntimeMetrics
    metrics_port: int
    metrics_path: str = "/metrics"
    grpc: int | None = None
    """Port of gRPC, where the server has it and the settings ask for it."""
    grpc_public: tuple[str, ...] = ()
    """Methods of gRPC, `<service>/<method>`, that the gateway lets through."""
    streams: bool = False
    """Whether answers come in pieces, for as long as the model has something to say."""
    deregisters: bool = False
    """Whether it goes on to answer for a while after SIGTERM."""
    drains: bool = True
    """Whether it finishes what is in flight after SIGTERM."""
    bounds_requests: bool = False
    """Whether it takes the settings `requests`."""
    logs_predictions: bool = False
    """Whether it writes the prediction log."""
    scratch_mib: int = 16
    """Size of /tmp."""
    runs_here: bool = False
    """Whether the lab runs it; else it is rendered, and tested against its schemas."""
    cannot: tuple[str, ...] = ()
    """What it cannot do, in the words of docs/how-to/runtimes.md."""


def methods(service: str, *names: str) -> tuple[str, ...]:
    """Methods of one service as `Facts.grpc_public` has them."""
    return tuple(f"{service}/{name}" for name in names)
