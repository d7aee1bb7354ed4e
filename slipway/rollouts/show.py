"""A rollout as text for people, and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rollout import record, words
from rollout.status import Status
from rollout.verdict import Outcome

from slipway.printable import printable
from slipway.rollouts.live import State

BAR = 41
"""Characters of the line on which an interval is drawn; the middle one is zero."""


def plain(state: State) -> dict[str, Any]:
    """Return JSON data."""
    settings, status = state.settings, state.status
    return {
        "server": settings.server,
        "stable": settings.stable,
        "canary": settings.canary,
        "weights": dict(state.route.weights),
        "mirrors": dict(state.route.mirrors),
        "steps": [
            {"weight": it.weight, "approval": it.approval} for it in settings.steps
        ],
        "settings_changed": words.is_changed(settings, status),
        "status": _status(status) if status else None,
        "look": state.look,
        "unseen": state.unseen,
    }


def _status(status: Status) -> dict[str, Any]:
    """Without the entries, which have all counts."""
    short = {"intent": _intent(status), "pending": [it["id"] for it in status.pending]}
    return status.plain() | short


def _intent(status: Status) -> dict[str, Any] | None:
    """Without the entry with all its counts."""
    intent = status.intent
    if intent is None:
        return None
    return {"id": intent.id, "start": intent.start, "goal": intent.goal}


def is_next(state: State) -> bool:
    """Return whether the settings name another pair than the previous rollout."""
    return words.is_next(state.settings, state.status)


def lines(state: State) -> Iterator[str]:
    """For people."""
    settings, status = state.settings, state.status
    yield words.headline(settings, status, state.route)
    for note in words.notes(settings, status):
        yield f"  {printable(note)}"
    if state.look is None:
        yield f"  the controller's last look is not known: {printable(state.unseen)}"
        return
    yield f"  {state.look['verdict']}: {printable(state.look['reason'])}"
    tolerated = {gate.name: gate.tolerate for gate in settings.gates}
    for one in state.look["judgements"]:
        yield from _judgement(one, tolerated.get(one["gate"], 0.0))


def _judgement(one: dict[str, Any], tolerate: float) -> Iterator[str]:
    lower, estimate, upper = (float(one[it]) for it in ("lower", "estimate", "upper"))
    drawn = bar(lower, estimate, upper, tolerate)
    yield f"  {printable(one['gate'])}: {words.counted(one)}"
    yield f"    {drawn} {words.difference(one, tolerate)}"


def bar(lower: float, estimate: float, upper: float, tolerate: float) -> str:
    """The interval of the difference on a line of twice what is tolerated each way.

    `|` marks zero, `T` the tolerance, `o` the estimate, `=` the interval.
    """
    half = BAR // 2

    def place(value: float) -> int:
        if not math.isfinite(value):
            return 0 if value < 0 else BAR - 1
        found = half + round(value / (2 * tolerate) * half)
        return min(max(found, 0), BAR - 1)

    drawn = [" "] * BAR
    for at in range(place(lower), place(upper) + 1):
        drawn[at] = "="
    drawn[half] = "|"
    drawn[place(tolerate)] = "T"
    if math.isfinite(estimate):
        drawn[place(estimate)] = "o"
    return f"[{''.join(drawn)}]"


def explained(
    found: record.Entry, outcome: Outcome, differences: list[str]
) -> dict[str, Any]:
    """Return a recomputed decision as JSON data."""
    return {
        "id": found["id"],
        "digest": record.digest(found),
        "recorded": {
            name: found[name] for name in ("verdict", "reason", "weights", "order")
        },
        "computed": {"verdict": outcome.verdict.value, "reason": outcome.reason},
        "judgements": [record.plain(it) for it in outcome.judgements],
        "differences": differences,
    }
