"""A short-lived stack in the lab, in addition to the lab's own stacks."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from slipway.engine.engine import Engine
from slipway.engine.results import StackResult
from toolchain import paths

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
"""Arguments of a model server that shares two cores with the whole lab."""


@dataclass(frozen=True)
class LabStack:
    """A stack of `models` or `jobs`, brought up with any settings."""

    name: str
    root: Path
    """An empty folder, which gets the files that the engine reads from a checkout."""

    def up(self, **settings: Any) -> StackResult:
        """Write the settings and apply them; raise OperatorError as `slipway up` does.

        settings: by key, without the prefix `slipway:`.
        """
        values = {"cluster": {"kubeconfig": "lab"}, **settings}
        content = {"config": {f"slipway:{key}": it for key, it in values.items()}}
        files = self.root / "stacks" / "config"
        files.mkdir(parents=True, exist_ok=True)
        shutil.copy(paths.ROOT / "Pulumi.yaml", self.root)
        file = files / f"Pulumi.{self.name}.yaml"
        file.write_text(yaml.safe_dump(content))
        return Engine(root=self.root).up(self.name)

    def down(self) -> None:
        """Delete everything that `up` has created."""
        Engine(root=self.root).destroy(self.name)
