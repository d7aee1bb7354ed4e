"""What each rollout's pages and metrics are made from."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.verdict import Outcome


@dataclass
class Watched:
    """One rollout as its last tick left it."""

    outcome: Outcome | None = None
    ticked: float = 0.0
    """Unix seconds of the last tick that came to its end."""
    looked: float = 0.0
    """Unix seconds of the last tick, those that failed too."""
    errors: int = 0
