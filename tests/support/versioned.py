"""Two revisions of a model behind two API versions, in the lab, for a while.

The stack is not one of the lab's, and its server has another name, so that the lab's
own server stays as it is. Both revisions are the same model; they differ in the name
that they report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.demo_rollout.callers import Callers
from slipway.engine.results import StackResult
from tests.support.own_stack import OwnStack

STACK, SERVER, MODEL = "models.versions", "versions", "employment"
OLD, NEW = "/versions/v1", "/versions/v2"


def revision(weight: int, arm: str = "stable") -> dict[str, Any]:
    return {"model_image": MODEL, "weight": weight, "arm": arm}


@dataclass
class Versioned:
    """The stack, brought up with any weights."""

    root: Path
    """A copy of the files that the engine needs of the checkout."""
    settings: dict[str, Any] = field(default_factory=dict)
    moving: Callers | None = None
    """Who called while the server moved to revisions."""

    def up(self, weights: Mapping[str, int]) -> StackResult:
        """Without weights a server without revisions."""
        revisions = {n: revision(w) for n, w in weights.items()}
        model = {
            "model": MODEL,
            **self.settings,
            **({"revisions": revisions} if revisions else {"model_image": MODEL}),
        }
        return self._stack.up(models={SERVER: model})

    def down(self) -> None:
        self._stack.down()

    @property
    def _stack(self) -> OwnStack:
        return OwnStack(STACK, self.root)
