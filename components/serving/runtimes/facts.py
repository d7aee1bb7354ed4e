"""Known properties of a kind of server, whatever its model."""

from __future__ import annotations

from dataclasses import dataclass

from components.serving.runtimes.runtime_metrics import RuntimeMetrics

OPEN_INFERENCE = "inference.GRPCInferenceService"
"""The Open Inference Protocol's service of gRPC."""


@dataclass(frozen=True)
class Facts:
    """Ports, paths, behaviour and limits. `{model}` in a path: the model's name."""

    http: int
    """Port of requests and probes."""
    ready: str
    """Path that returns 200 once the model is loaded."""
    live: str
    public: tuple[str, ...]
    """Paths that the gateway lets through; all others stay inside the cluster."""
    metrics: RuntimeMetrics
    metrics_port: int
    metrics_path: str = "/metrics"
    grpc: int | None = None
    """gRPC port, if the server has one and the settings enable it."""
    grpc_public: tuple[str, ...] = ()
    """Methods of gRPC, `<service>/<method>`, that the gateway lets through."""
    streams: bool = False
    """Whether responses may be streamed, for as long as the model generates."""
    deregisters: bool = False
    """Whether it still responds for a while after SIGTERM."""
    drains: bool = True
    """Whether it finishes in-flight requests after SIGTERM."""
    bounds_requests: bool = False
    """Whether it supports the settings `requests`."""
    logs_predictions: bool = False
    """Whether it writes the prediction log."""
    scratch_mib: int = 16
    """Size of /tmp."""
    runs_here: bool = False
    """Whether the lab runs it; otherwise it is rendered and tested against its
    schemas."""
    cannot: tuple[str, ...] = ()
    """Unsupported features, as listed in docs/how-to/runtimes.md."""


def methods(service: str, *names: str) -> tuple[str, ...]:
    """Return the methods of one service in the form of `Facts.grpc_public`."""
    return tuple(f"{service}/{name}" for name in names)
