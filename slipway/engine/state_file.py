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
from slipway.rendering.recorder import MARK, SECRET_MARK, STACK_TYPE

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
        """The stack's outputs; secret values in them are replaced by `[secret]`.

        Empty without the resource of the stack, as in a state of which all is deleted.
        ValueError for what is neither JSON nor secret, such as a file.
        """
        stack = (r for r in self.resources if r["type"] == STACK_TYPE)
        found: dict[str, Any] = _shown(next(stack, {}).get("outputs") or {})
        return found


def _shown(value: Any) -> Any:
    """The value as the CLI shows it."""
    if isinstance(value, dict):
        if value.get(MARK) == SECRET_MARK:
            return SECRET_OUTPUT
        if MARK in value:
            raise ValueError("an output is a file or a resource")
        return {name: _shown(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_shown(part) for part in value]
    return value


def read(path: Path) -> StateFile:
    """Read a stack's file; OSError, ValueError or LookupError if it cannot be read."""
    content = path.read_bytes()
    state = json.loads(content)
    if state["version"] != VERSION:
        raise ValueError(f"{path}: version {state['version']}, not {VERSION}")
    latest = state["checkpoint"]["latest"]
    resources = tuple(latest.get("resources") or ())
    unfinished = any(r.get("initErrors") or r.get("delete") for r in resources)
    return StateFile(
        digest=hashlib.sha256(content).hexdigest(),
        resources=resources,
        is_whole=not (latest.get("pending_operations") or unfinished),
    )
