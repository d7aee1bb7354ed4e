"""The demo's stack beside the lab's: one model server with revisions and a rollout."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from slipway.engine.engine import Engine
from toolchain import paths

STACK, SERVER, MODEL = "models.demo", "demo", "employment"
PREFIX = "/demo/v1"
STEPS: tuple[dict[str, Any], ...] = ({"weight": 25}, {"weight": 50})
_SIZE: dict[str, Any] = {
    "scaling": {"min_replicas": 1, "max_replicas": 1, "accept_single_replica": True},
    "resources": {
        "cpu_request_millicores": 50,
        "cpu_limit_millicores": 1000,
        "memory_request_mib": 128,
        "memory_limit_mib": 384,
    },
    "prediction_log": {"total_mib": 16, "file_mib": 2},
}
"""Of each revision: two cores do everything."""


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
        **_SIZE,
        "model": MODEL,
        "route": {"prefix": PREFIX},
        "revisions": {name: {"model_image": MODEL} for name in revisions},
        "rollout": rollout,
    }
    return {
        "cluster": {"kubeconfig": "lab"},
        # As the lab's platform has it.
        "platform": {"scrape_interval_seconds": 2},
        "delivery": {"tick_seconds": 2},
        "models": {SERVER: server},
    }


@dataclass(frozen=True)
class DemoStack:
    """The stack, brought up with any settings and destroyed at the end."""

    root: Path
    """A copy of the files that the engine needs of the checkout."""

    def up(self, values: Mapping[str, Any]) -> None:
        """Raise OperatorError, as `slipway up` does."""
        files = self.root / "stacks" / "config"
        files.mkdir(parents=True, exist_ok=True)
        shutil.copy(paths.ROOT / "Pulumi.yaml", self.root)
        content = {"config": {f"slipway:{key}": it for key, it in values.items()}}
        file = files / f"Pulumi.{STACK}.yaml"
        file.write_text(yaml.safe_dump(content))
        Engine(root=self.root).up(STACK)

    def down(self) -> None:
        """Delete everything that `up` has created."""
        Engine(root=self.root).destroy(STACK)
