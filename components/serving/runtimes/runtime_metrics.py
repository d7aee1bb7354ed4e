"""A server's own metrics, as expressions for the common metrics.

`$s` in an expression stands for the selector of the server's series.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Timing:
    """A distribution of times, by the name of its series."""

    series: str
    kind: Literal["histogram", "summary"] = "histogram"
    per_second: int = 1
    """Number of the server's units in a second."""
    last_bucket_seconds: float | None = None
    """Largest finite bound of its buckets: no quantile exceeds it. None if it is
    unknown, or far above any possible setting."""

    @property
    def has_buckets(self) -> bool:
        """Whether its buckets are in seconds: PromQL cannot change a bucket's bound."""
        return self.kind == "histogram" and self.per_second == 1


@dataclass(frozen=True)
class RuntimeMetrics:
    """The common metrics as a server's expressions; those it lacks are in `absent`.

    Nothing replaces a missing metric: its rule and its alert are left out.
    """

    ready: str
    """Series that is 1 for a replica that responds."""
    requests: str = ""
    """Counter of requests, including failed ones."""
    errors: str = ""
    """Counter of requests that failed through the server's fault."""
    inflight: str = ""
    """Gauge of requests inside the server, including waiting ones."""
    saturation: str = ""
    """Gauge from 0 to 1: how much of a replica's capacity is in use."""
    latency: Timing | None = None
    queue: Timing | None = None
    started: str = ""
    """Time at which the server's process started, in seconds."""
    prediction_log: bool = False
    """Whether it counts lost records of the prediction log."""
    native: bool = False
    """Whether it uses the common names itself, so nothing is translated."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Common metrics that it does not have, with the reasons."""


LAST_BUCKET_SECONDS = 120.0
"""Last finite bucket of our server's histograms of times (images/model_server)."""
COMMON = RuntimeMetrics(
    ready="model_ready{$s}",
    requests="model_requests_total{$s}",
    errors='model_errors_total{$s,status=~"5.."}',
    inflight="model_inflight{$s}",
    saturation="model_saturation{$s}",
    latency=Timing("model_latency_seconds", last_bucket_seconds=LAST_BUCKET_SECONDS),
    queue=Timing("model_queue_seconds", last_bucket_seconds=LAST_BUCKET_SECONDS),
    started="process_start_time_seconds{$s}",
    prediction_log=True,
    native=True,
)
"""Our server and the adapters (images/model_server/README.md)."""
