"""Stacks of the tests' own beside the lab's, in the lab, for a while."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from slipway.engine.engine import Engine
from slipway.engine.results import StackResult
from toolchain import paths

ENVIRONMENTS = (
    "adopted",
    "application",
    "gang",
    "grpc",
    "rollout",
    "scaling",
    "sleepy",
    "spark",
    "streams",
    "versions",
)
"""Second parts of these stacks' names."""
SMALL: dict[str, Any] = {
    "scaling": {"min_replicas": 1, "max_replicas": 1, "accept_single_replica": True},
    "resources": {
        "cpu_request_millicores": 50,
        "cpu_limit_millicores": 1000,
        "memory_request_mib": 128,
        "memory_limit_mib": 384,
    },
    "prediction_log": {"total_mib": 16, "file_mib": 2},
}
"""Arguments of a model server for two cores that do everything."""


@dataclass(frozen=True)
class OwnStack:
    """A stack of `models` or `jobs`, brought up with any settings."""

    name: str
    root: Path
    """A copy of the files that the engine needs of the checkout."""

    def __post_init__(self) -> None:
        assert self.name.partition(".")[2] in ENVIRONMENTS, "see forget_all"

    def up(self, **settings: Any) -> StackResult:
        content = {
            f"slipway:{key}": value
            for key, value in {"cluster": {"kubeconfig": "lab"}, **settings}.items()
        }
        files = self.root / "stacks" / "config"
        files.mkdir(parents=True, exist_ok=True)
        shutil.copy(paths.ROOT / "Pulumi.yaml", self.root)
        file = files / f"Pulumi.{self.name}.yaml"
        file.write_text(yaml.safe_dump({"config": content}))
        return Engine(root=self.root).up(self.name)

    def down(self) -> None:
        Engine(root=self.root).destroy(self.name)


def forget_all() -> None:
    """Removes the state of all these stacks: the cluster that had them is gone."""
    for environment in ENVIRONMENTS:
        Engine().forget(environment)
