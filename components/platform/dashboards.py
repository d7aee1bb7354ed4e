"""The dashboards of a platform stack: of the parts that it makes and watches."""

from __future__ import annotations

from components.observability.dashboards import sets
from components.observability.dashboards.board import Board
from components.platform.settings import PlatformSettings


def boards(settings: PlatformSettings) -> tuple[Board, ...]:
    """The dashboards of the stack with these settings."""
    return sets.of_platform(
        settings.monitoring.alerts,
        gateway=settings.gateway.enabled,
        gpus=settings.gpu.dcgm_exporter.enabled,
        prices=settings.karpenter.enabled,
    )
