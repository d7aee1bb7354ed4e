"""What each rollout's pages and metrics are made from."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.status import Status
from rollout.verdict import Outcome


@dataclass
class Watched:
    """One rollout as its last tick left it."""

    outcome: Outcome | None = None
    status: Status | None = None
    """As it was read last."""
    ticked: float = 0.0
    """Unix seconds of the last tick that came to its end."""
    looked: float = 0.0
    """Unix seconds of the last tick, those that failed too."""
    errors: int = 0
