"""A stack's state as a file backend keeps it, read without the engine.

Its form is `CheckpointV3` of Pulumi (sdk/go/common/apitype/core.go); other versions are
not read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.engine.output import SECRET_OUTPUT
from slipway.rendering.recorder import MARK, STACK_TYPE

VERSION = 3


@dataclass(frozen=True)
class StateFile:
    """Content of the file when it was read; secret values stay encrypted."""

    digest: str
    """SHA-256 of the file: the engine writes it at the end of each run."""
    resources: tuple[Mapping[str, Any], ...]
    """In the order of their creation, the stack itself first."""
    is_whole: bool
    """False after a run that was killed, or whose resources are not all ready."""

    @property
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs; secret ones are replaced by `[secret]`."""
        stack = next(r for r in self.resources if r["type"] == STACK_TYPE)
        return {
            name: SECRET_OUTPUT if f'"{MARK}"' in json.dumps(value) else value
            for name, value in (stack.get("outputs") or {}).items()
        }


def read(path: Path) -> StateFile:
    """Read a stack's file; OSError, ValueError or LookupError if it cannot be read."""
    content = path.read_bytes()
    state = json.loads(content)
    if state["version"] != VERSION:
        raise ValueError(f"{path}: version {state['version']}, not {VERSION}")
    latest = state["checkpoint"]["latest"]
    resources = tuple(latest["resources"])
    unfinished = any(r.get("initErrors") or r.get("delete") for r in resources)
    return StateFile(
        digest=hashlib.sha256(content).hexdigest(),
        resources=resources,
        is_whole=not (latest.get("pending_operations") or unfinished),
    )
