"""The state that a decision is based on.

The route is read first, then the status, then the settings. With another order, a write
decided before an order could follow the order (docs/decisions/0053).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollout.counts import Series
from rollout.facts import Ready
from rollout.settings import Settings
from rollout.status import Status


@dataclass(frozen=True)
class Route:
    """The weighted route as it is."""

    version: str
    """Its resourceVersion."""
    weights: Mapping[str, int]
    """Percent of the requests by revision."""
    fence: str = ""
    """Annotation that orders and called-off decisions change, so that writes which are
    under way lose."""
    stale: bool = False
    """Whether its rules were written from an older version of the stack's."""
    mirrors: Mapping[str, int] = field(default_factory=dict)
    """Percent of the requests that are copied, by revision."""

    def mirror(self, settings: Settings) -> int:
        """Percent of the requests that are copied to the canary."""
        return self.mirrors.get(settings.canary, 0)

    def weight(self, settings: Settings) -> int | None:
        """The canary's weight; None if the route is not one of these two revisions."""
        found = {name: it for name, it in self.weights.items() if it}
        canary = found.pop(settings.canary, 0)
        if found.pop(settings.stable, 0) + canary != 100 or found:
            return None
        return canary


@dataclass(frozen=True)
class Seen:
    """All that is read before each action."""

    now: int
    """Unix seconds."""
    route: Route
    settings: Settings
    status: Status | None = None
    """None: no rollout has begun."""
    status_version: str = ""
    ready: Ready | None = None
    """None: unknown."""
    counts: Mapping[str, Series] | None = field(default=None)
    """By gate, whole intervals since the step began; None: they could not be read."""
    recorded: str = ""
    """Id of an entry that the ledger has."""
    refused: str = ""
    """Why the ledger took no entry in this tick; empty if it has not refused any."""
