"""What can be said about a model server; every default is safe for production."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from components.images import ImageReference
from components.serving.scaling_settings import Scaling
from components.setting_types import Decimal, PathPrefix, Whole
from components.settings import Problem, Settings

EXIT_SECONDS = 3
"""What the server takes to write out its log and exit after the drain."""
ENDPOINT_REMOVAL_SECONDS = 3
"""What the gateway may take to learn that a pod leaves: 0.2 s here, seconds on load."""


class Resources(Settings):
    """What one replica asks for and may use."""

    cpu_request_millicores: Annotated[Whole, Field(ge=10, le=512_000)] = 250
    """CPU set aside for a replica, in thousandths of a core."""
    cpu_limit_millicores: Annotated[Whole, Field(ge=10, le=512_000)] = 1000
    """CPU that a replica may use; the server runs one thread per whole core of it."""
    memory_request_mib: Annotated[Whole, Field(ge=32, le=4_194_304)] = 256
    """Memory set aside for a replica, in MiB."""
    memory_limit_mib: Annotated[Whole, Field(ge=64, le=4_194_304)] = 512
    """Memory beyond which a replica is killed, in MiB."""

    def contradictions(self) -> Iterator[Problem]:
        """Requests over their limits, which the API server would refuse."""
        for request, limit in (
            ("cpu_request_millicores", "cpu_limit_millicores"),
            ("memory_request_mib", "memory_limit_mib"),
        ):
            asked, most = getattr(self, request), getattr(self, limit)
            if asked > most:
                yield Problem(
                    request,
                    asked,
                    f"it is more than {limit}, which is {most}",
                    f"give at most {most}, or raise {limit}",
                )


class Lifecycle(Settings):
    """How a replica starts and how it leaves without losing a request.

    A leaving pod goes through preStop, deregistration (the server still answers and
    asks clients to connect anew), drain (what is in flight is finished) and exit; the
    grace period must hold all of them, or the kubelet kills the pod before.
    """

    startup_seconds: Annotated[Whole, Field(ge=5, le=7200)] = 120
    """Longest time to load and warm up the model, in seconds."""
    pre_stop_seconds: Annotated[Whole, Field(ge=0, le=600)] = 5
    """Wait before the server is told to stop, in seconds."""
    deregistration_seconds: Annotated[Whole, Field(ge=0, le=600)] = 2
    """How long the server takes new requests after that, in seconds."""
    drain_seconds: Annotated[Whole, Field(ge=1, le=3600)] = 20
    """How long the server then waits for requests in flight, in seconds."""
    longest_request_seconds: Annotated[Whole, Field(ge=1, le=3600)] = 10
    """Longest request: the gateway's time limit, in seconds."""
    grace_seconds: Annotated[Whole, Field(ge=1, le=7200)] = 35
    """After this the kubelet kills the pod (terminationGracePeriodSeconds)."""

    def contradictions(self) -> Iterator[Problem]:
        """The arithmetic that keeps requests from being cut off."""
        farewell = self.pre_stop_seconds + self.deregistration_seconds
        if farewell < ENDPOINT_REMOVAL_SECONDS:
            yield Problem(
                "pre_stop_seconds",
                self.pre_stop_seconds,
                f"with deregistration_seconds it makes {farewell} s, and the gateway "
                f"may take {ENDPOINT_REMOVAL_SECONDS} s to learn that a pod leaves",
                f"give at least "
                f"{ENDPOINT_REMOVAL_SECONDS - self.deregistration_seconds}",
            )
        if self.drain_seconds < self.longest_request_seconds:
            yield Problem(
                "drain_seconds",
                self.drain_seconds,
                "a request may take longest_request_seconds = "
                f"{self.longest_request_seconds} s and would be cut off",
                f"give at least {self.longest_request_seconds}, "
                "or lower longest_request_seconds",
            )
        needed = farewell + self.drain_seconds + EXIT_SECONDS
        if self.grace_seconds < needed:
            yield Problem(
                "grace_seconds",
                self.grace_seconds,
                f"preStop {self.pre_stop_seconds} s, deregistration "
                f"{self.deregistration_seconds} s, drain {self.drain_seconds} s and "
                f"exit {EXIT_SECONDS} s make {needed} s; the pod would be killed first",
                f"give at least {needed}",
            )


class Requests(Settings):
    """Bounds on what a replica takes in; beyond them callers get a clear error."""

    max_body_kib: Annotated[Whole, Field(ge=1, le=65_536)] = 1024
    """Largest request body, in KiB."""
    max_request_rows: Annotated[Whole, Field(ge=1, le=65_536)] = 1024
    """Most rows of one request."""
    max_batch_rows: Annotated[Whole, Field(ge=1, le=65_536)] = 256
    """Most rows of one run of the model."""
    max_queue_rows: Annotated[Whole, Field(ge=1, le=1_048_576)] = 4096
    """Most rows that wait for the model; more are refused with 503."""

    def contradictions(self) -> Iterator[Problem]:
        """A request that no empty queue could take."""
        if self.max_request_rows > self.max_queue_rows:
            yield Problem(
                "max_request_rows",
                self.max_request_rows,
                f"it is more than max_queue_rows, which is {self.max_queue_rows}: "
                "a full request could never be taken",
                f"give at most {self.max_queue_rows}, or raise max_queue_rows",
            )


class PredictionLog(Settings):
    """One record per prediction in files on the pod's own disk."""

    enabled: bool = True
    """Whether predictions are logged."""
    total_mib: Annotated[Whole, Field(ge=2, le=1_048_576)] = 256
    """Size of all files of a replica, in MiB; the oldest are deleted beyond it."""
    file_mib: Annotated[Whole, Field(ge=1, le=16_384)] = 16
    """Size at which a file is finished, in MiB."""
    file_seconds: Annotated[Whole, Field(ge=1, le=86_400)] = 60
    """Age at which a file is finished, in seconds."""

    def contradictions(self) -> Iterator[Problem]:
        """A file that would be deleted as soon as it is finished."""
        if self.file_mib > self.total_mib:
            yield Problem(
                "file_mib",
                self.file_mib,
                f"it is more than total_mib, which is {self.total_mib}: "
                "a finished file would be deleted at once",
                f"give at most {self.total_mib}, or raise total_mib",
            )


class Alerts(Settings):
    """When somebody is told; docs/reference/alerts.md lists the alerts."""

    window_seconds: Annotated[Whole, Field(ge=10, le=86_400)] = 300
    """Span that rates and percentiles are taken over, in seconds."""
    for_seconds: Annotated[Whole, Field(ge=0, le=86_400)] = 60
    """How long a condition must hold before its alert fires, in seconds."""
    error_percent: Annotated[Decimal, Field(gt=0, le=100)] = 1.0
    """Share of requests answered with a server's error (5xx), in percent."""
    p99_milliseconds: Annotated[Decimal, Field(gt=0, le=3_600_000)] = 250.0
    """99th percentile of the latency inside the server, in milliseconds."""
    queue_p99_milliseconds: Annotated[Decimal, Field(gt=0, le=3_600_000)] = 100.0
    """99th percentile of the wait for the model, in milliseconds."""
    saturation_percent: Annotated[Whole, Field(ge=1, le=100)] = 90
    """Share of a replica's capacity in use, in percent."""
    runbooks: Annotated[str, Field(min_length=1)] = "docs/runbooks"
    """Where the runbooks can be read; alerts link to <runbooks>/<alert>.md."""


class Route(Settings):
    """How the model is reached through the gateway."""

    prefix: PathPrefix
    """Path of the API version, such as /employment/v1; the server sees what follows."""


class ModelServerArgs(Settings):
    """A model server: which model, how it is reached, scaled, drained and watched."""

    model_image: ImageReference
    """Image that holds the model's folder, mounted read-only."""
    image: ImageReference = "model-server"
    """Image of the server."""
    route: Route | None = None
    """Public path at the gateway; without it only the cluster reaches the model."""
    scaling: Scaling = Scaling()
    """Replicas and the autoscaler."""
    resources: Resources = Resources()
    """CPU and memory of one replica."""
    lifecycle: Lifecycle = Lifecycle()
    """Start, drain and stop."""
    requests: Requests = Requests()
    """Bounds on requests."""
    prediction_log: PredictionLog = PredictionLog()
    """The prediction log."""
    alerts: Alerts = Alerts()
    """Thresholds of the alerts."""
    arm: Literal["stable", "canary", "shadow"] = "stable"
    """Part that the server plays in an experiment: label of metrics and log."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much the server says about itself."""

    def contradictions(self) -> Iterator[Problem]:
        """An autoscaler's target that the CPU limit keeps out of reach."""
        request = self.resources.cpu_request_millicores
        limit = self.resources.cpu_limit_millicores
        by_cpu = self.scaling.signal == "cpu"
        if by_cpu and self.scaling.cpu_percent * request >= 100 * limit:
            most = (100 * limit - 1) // request
            yield Problem(
                "scaling.cpu_percent",
                self.scaling.cpu_percent,
                f"{self.scaling.cpu_percent} % of the request of {request} millicores "
                f"is not below the limit of {limit}: no replica would ever be added",
                f"give at most {most}, or raise resources.cpu_limit_millicores",
            )
        inflight, queue = (
            self.scaling.inflight_per_replica,
            self.requests.max_queue_rows,
        )
        if inflight and inflight >= queue:
            yield Problem(
                "scaling.inflight_per_replica",
                inflight,
                f"a replica refuses requests once {queue} rows wait "
                "(requests.max_queue_rows): no replica would be added before",
                f"give less than {queue}, or raise requests.max_queue_rows",
            )
        if self.alerts.p99_milliseconds > 1000 * self.lifecycle.longest_request_seconds:
            longest = self.lifecycle.longest_request_seconds
            yield Problem(
                "alerts.p99_milliseconds",
                self.alerts.p99_milliseconds,
                f"the gateway ends requests after longest_request_seconds = {longest}: "
                "the alert could never fire",
                f"give at most {1000 * longest}",
            )
