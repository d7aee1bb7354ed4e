"""The dashboards of a models stack, with the limits of its own alerts."""

from __future__ import annotations

from components.monitoring.alerts import stale_cycle_seconds
from components.monitoring.model_settings import ModelMonitoring
from components.observability.dashboards import sets
from components.observability.dashboards.board import Board
from components.observability.dashboards.limits import (
    ModelLimits,
    Served,
    ServerLimits,
)
from components.serving.models_settings import ModelsSettings
from components.serving.settings.alert_settings import Alerts


def server_limits(alerts: Alerts) -> ServerLimits:
    """Return the thresholds of one model server's alerts, as ratios and seconds."""
    return ServerLimits(
        error_ratio=alerts.error_percent / 100,
        p99_seconds=alerts.p99_milliseconds / 1000,
        queue_p99_seconds=alerts.queue_p99_milliseconds / 1000,
        saturation=alerts.saturation_percent / 100,
    )


def model_limits(monitor: ModelMonitoring) -> ModelLimits:
    """Return the thresholds of the monitor's decisions about one model."""
    fairness = monitor.fairness
    return ModelLimits(
        coverage_ratio=monitor.min_coverage,
        effect_floor=monitor.drift.effect_floor,
        alpha=monitor.drift.alpha,
        cusum=monitor.concept.h,
        stale_seconds=monitor.stale_seconds,
        fairness_ratio=fairness.ratio_floor if fairness else None,
        fairness_difference=fairness.difference_limit if fairness else None,
    )


def boards(settings: ModelsSettings) -> tuple[Board, ...]:
    """The dashboards of the stack with these settings."""
    return sets.of_models(
        Served(
            settings.platform.namespace,
            {name: server_limits(one.alerts) for name, one in settings.models.items()},
            {one.model: model_limits(one.settings) for one in settings.watched},
            stale_cycle_seconds(settings.monitor),
        )
    )
