"""The newest decisions in short, which the status keeps for readers.

The ledger has all of them, with their facts, but the controller may not list it: RBAC
has no rights by label. A decision's reason is written with "done", so readers can see
why the weights are as they are (docs/decisions/0066).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST = 10
REASON_LETTERS = 300


@dataclass(frozen=True)
class Decided:
    """One decision that was carried out; weights and copies in percent."""

    id: str
    time: int
    """Unix seconds."""
    stable: str
    canary: str
    verdict: str
    reason: str
    start: int
    """The canary's weight before."""
    goal: int
    """The canary's weight after."""
    start_mirror: int = 0
    mirror: int = 0
    began: int = 0
    """When the step had begun at which it was decided, in Unix seconds."""

    @property
    def moves(self) -> bool:
        """Return whether it changed weights or copies."""
        return (self.start, self.start_mirror) != (self.goal, self.mirror)


def of(record: Mapping[str, Any]) -> Decided:
    """The decision of a ledger's entry; of a long reason the beginning."""
    reason: str = record["reason"]
    if len(reason) > REASON_LETTERS:
        reason = f"{reason[: REASON_LETTERS - 1]}…"
    mirrors = record.get("mirrors", {})
    return Decided(
        id=record["id"],
        time=record["facts"]["now"],
        stable=record["settings"]["stable"],
        canary=record["settings"]["canary"],
        verdict=record["verdict"],
        reason=reason,
        start=record["weights"]["before"],
        goal=record["weights"]["after"],
        start_mirror=mirrors.get("before", 0),
        mirror=mirrors.get("after", 0),
        began=record["facts"]["started"],
    )


def with_newest(
    known: Sequence[Decided], record: Mapping[str, Any]
) -> tuple[Decided, ...]:
    """The newest decisions, the newest first.

    Where there are too many, the oldest goes that moved nothing: since when the weights
    stand must be known however often a person has extended an experiment.
    """
    found = [of(record), *known]
    while len(found) > MOST:
        still = [place for place, it in enumerate(found) if place and not it.moves]
        del found[still[-1] if still else -1]
    return tuple(found)
