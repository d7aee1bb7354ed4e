"""What can be said about a model server; every default is safe for production."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from components.images import ImageReference
from components.serving.alert_settings import Alerts
from components.serving.lifecycle_settings import Lifecycle
from components.serving.request_settings import PredictionLog, Requests
from components.serving.resource_settings import Resources
from components.serving.scaling_settings import Scaling
from components.setting_types import PathPrefix
from components.settings import Problem, Settings

__all__ = [
    "Alerts",
    "Lifecycle",
    "ModelServerArgs",
    "PredictionLog",
    "Requests",
    "Resources",
    "Route",
    "Scaling",
]


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
