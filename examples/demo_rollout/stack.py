"""Settings of the demo's stack: one model server with revisions and a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from examples.demo_rollout.lab_stack import SMALL

STACK, SERVER, MODEL = "models.demo", "demo", "employment"
PREFIX = "/demo/v1"
STEPS: tuple[dict[str, Any], ...] = ({"weight": 25}, {"weight": 50})


@dataclass(frozen=True)
class Pair:
    """The revision that has all requests, and the one that is to have them."""

    stable: str
    canary: str


def settings(
    pair: Pair, revisions: Sequence[str], interval_seconds: int
) -> dict[str, Any]:
    """Return the stack's settings; every revision serves the same model."""
    rollout = {
        "from": pair.stable,
        "to": pair.canary,
        "steps": list(STEPS),
        "interval_seconds": interval_seconds,
        "min_intervals": 2,
        "deadline_hours": 1,
    }
    server = {
        **SMALL,
        "model": MODEL,
        "route": {"prefix": PREFIX},
        "revisions": {name: {"model_image": MODEL} for name in revisions},
        "rollout": rollout,
    }
    return {
        # As the lab's platform has it.
        "platform": {"scrape_interval_seconds": 2},
        "delivery": {"tick_seconds": 2},
        "models": {SERVER: server},
    }
