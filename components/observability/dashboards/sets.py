"""The dashboards of each stack."""

from __future__ import annotations

from components.observability.dashboards import (
    cost,
    drift,
    fairness,
    fleet,
    gpu,
    model,
    revisions,
)
from components.observability.dashboards.board import Board
from components.observability.dashboards.limits import Served
from components.observability.settings import AlertThresholds


def of_platform(
    limits: AlertThresholds, *, gateway: bool, gpus: bool, prices: bool
) -> tuple[Board, ...]:
    """Those about the cluster; `prices`: Karpenter is installed and exports them."""
    return (
        fleet.board(limits, gateway=gateway),
        *([gpu.board()] if gpus else []),
        *([cost.board()] if prices else []),
    )


def of_models(of: Served) -> tuple[Board, ...]:
    """Those about a stack's models; drift and fairness where a monitor watches."""
    return (
        model.board(of),
        revisions.board(of),
        *([drift.board(of)] if of.models else []),
        *([fairness.board(of)] if of.audited else []),
    )
