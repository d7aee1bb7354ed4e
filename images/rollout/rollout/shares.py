"""Since when an experiment's shares stand, by the decisions.

Only this time counts: when a share changes, callers move between revisions. `slipway
experiment` asks the ledger's entries, and the controller those that its status keeps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rollout.decided import Decided

SETTLED_SECONDS = 60
"""Seconds until every proxy has new weights: meanwhile, callers may meet both
revisions, and one request on the other revision excludes a caller from the report."""


@dataclass(frozen=True)
class Window:
    """The time whose requests count; Unix seconds."""

    started: int
    """SETTLED_SECONDS after the shares were set."""
    ended: int | None = None
    """When the shares changed; None: they stand."""

    def until(self, moment: int) -> Window:
        """The same one, ended at that moment, or at its start if that is later."""
        return Window(self.started, max(self.started, moment))


def window(
    decisions: Iterable[Decided], control: str, treatment: str, share: int
) -> Window | None:
    """When the shares last stood, by the decisions, the oldest first."""
    found: Window | None = None
    for one in decisions:
        is_mine = (one.stable, one.canary) == (control, treatment)
        if is_mine and one.goal == share:
            if found is None or found.ended is not None:
                stood = one.start == share
                found = Window((one.began if stood else one.time) + SETTLED_SECONDS)
        elif found and found.ended is None:
            found = found.until(one.time)
    return found
