"""The data of each rollout's pages and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.history import Point
from rollout.seen import Route
from rollout.settings import Settings
from rollout.status import Status
from rollout.verdict import Outcome


@dataclass(frozen=True)
class Known:
    """The stack's settings, and the state of the route."""

    settings: Settings
    route: Route
    plan: Mapping[str, Any] | None = None
    """Plan of the experiment that the rollout carries out."""


@dataclass
class Watched:
    """One rollout as its last tick left it."""

    outcome: Outcome | None = None
    status: Status | None = None
    """The object as last read."""
    ticked: float = 0.0
    """Unix seconds of the last tick that came to its end."""
    looked: float = 0.0
    """Unix seconds of the last tick, those that failed too."""
    errors: int = 0
    is_failing: bool = False
    """Whether the last tick failed, so that all other data are older."""
    seen: Known | None = None
    """None: settings or route could not be read."""
    history: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)
    """By gate."""
    model: str = ""
    """Its name in model.yaml, if it is not the server's."""
