"""Alert thresholds of a models stack, for its dashboards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from components.observability.dashboards.board import Limit

READY = "model:replicas_ready:sum"
"""Recorded of every server, whatever runs in it."""
NEWEST = "monitor_log_newest_timestamp_seconds"
"""Exported of every model that has records."""


@dataclass(frozen=True)
class ServerLimits:
    """Thresholds of one model server (`models.<name>.alerts`)."""

    error_ratio: float
    p99_seconds: float
    queue_p99_seconds: float
    saturation: float


@dataclass(frozen=True)
class ModelLimits:
    """Thresholds of one watched model (`models.<name>.monitor`)."""

    coverage_ratio: float
    effect_floor: float
    alpha: float
    cusum: float
    stale_seconds: float
    fairness_ratio: float | None = None
    """None: its groups are not compared."""
    fairness_difference: float | None = None


@dataclass(frozen=True)
class Served:
    """The servers of a models stack, and the models that its monitor watches."""

    namespace: str
    servers: Mapping[str, ServerLimits]
    models: Mapping[str, ModelLimits] = field(default_factory=dict)
    cycle_seconds: float = 0.0
    """Age at which the monitor's results are too old."""

    @property
    def audited(self) -> bool:
        """Return whether groups are compared for any of the models."""
        return any(one.fairness_ratio is not None for one in self.models.values())

    @property
    def of_servers(self) -> str:
        """Chooses the series of the servers that the reader has chosen."""
        return f'namespace="{self.namespace}",server=~"$server"'

    @property
    def of_model(self) -> str:
        """Chooses the monitor's series of the model that the reader has chosen."""
        return f'namespace="{self.namespace}",model="$model"'

    def server_limit(self, alert: str, value: Callable[[ServerLimits], float]) -> Limit:
        """The limit of each server."""
        found = {name: value(one) for name, one in self.servers.items()}
        return Limit(alert, found, "server", READY, self.of_servers)

    def model_limit(
        self,
        alert: str,
        value: Callable[[ModelLimits], float | None],
        *,
        below: bool = False,
    ) -> Limit:
        """The limit of each model that has one."""
        found = {
            name: limit
            for name, one in self.models.items()
            if (limit := value(one)) is not None
        }
        return Limit(alert, found, "model", NEWEST, self.of_model, below=below)
