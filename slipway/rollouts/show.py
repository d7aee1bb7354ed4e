"""A rollout as text for people, and as JSON for programs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from rollout.gate import points
from rollout.status import Phase, Status

from slipway.printable import printable
from slipway.rollouts.live import State

BAR = 41
"""Places of the line that an interval is drawn on; the middle one is no difference."""
PHASES = {Phase.PROMOTED: "promoted", Phase.BACK: "taken back"}


def plain(state: State) -> dict[str, Any]:
    """As JSON."""
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
        "settings_changed": is_changed(state),
        "status": status.plain() | {"intent": _intent(status)} if status else None,
        "look": state.look,
        "unseen": state.unseen,
    }


def _intent(status: Status) -> dict[str, Any] | None:
    """Without the entry with all its counts."""
    intent = status.intent
    if intent is None:
        return None
    return {"id": intent.id, "start": intent.start, "goal": intent.goal}


def is_changed(state: State) -> bool:
    """Whether the settings are others than those that the rollout began with."""
    status = state.status
    return bool(status and status.generation != state.settings.generation)


def is_next(state: State) -> bool:
    """Whether the settings name another pair than the rollout that there was."""
    settings, status = state.settings, state.status
    return status is not None and not status.is_of(settings.stable, settings.canary)


def lines(state: State) -> Iterator[str]:
    """For people."""
    settings, status = state.settings, state.status
    weight = state.route.weight(settings)
    share = "?" if weight is None else weight
    copies = state.route.mirror(settings)
    copied = f" and copies of {copies} %" if copies else ""
    yield (
        f"{settings.server}: {settings.stable} -> {settings.canary}, {share} % of the "
        f"requests{copied}{_phase(state)}"
    )
    if status is None:
        yield "  the controller has not begun"
    elif status.order and status.order.number > status.order_done:
        yield f"  order under way: {status.order.kind} by {printable(status.order.who)}"
    if status and is_next(state):
        yield f"  not begun; the one before: {status.stable} -> {status.canary}"
    elif is_changed(state):
        yield "  its settings have changed since it began"
    if state.look is None:
        yield f"  the controller's last look is not known: {printable(state.unseen)}"
        return
    yield f"  {state.look['verdict']}: {printable(state.look['reason'])}"
    tolerated = {gate.name: gate.tolerate for gate in settings.gates}
    for one in state.look["judgements"]:
        yield from _judgement(one, tolerated.get(one["gate"], 0.0))


def _phase(state: State) -> str:
    """Of the settings as they are now; empty for a rollout by others."""
    settings, status = state.settings, state.status
    if status is None or is_changed(state):
        return ""
    if status.phase in PHASES:
        return f", {PHASES[status.phase]}"
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(status.started))
    step = f"step {status.step + 1} of {len(settings.steps)}"
    if status.mirror:
        step = "shadow step"
    return f", {step} since {began} UTC"


def _judgement(one: dict[str, Any], tolerate: float) -> Iterator[str]:
    estimate, lower, upper = (
        float(one[name]) for name in ("estimate", "lower", "upper")
    )
    canary, stable = (
        f"{bad} of {total}"
        for bad, total in zip(one["bad"], one["requests"], strict=True)
    )
    yield (
        f"  {printable(one['gate'])}: canary {canary}, stable {stable} bad in "
        f"{one['intervals']} intervals"
    )
    yield (
        f"    {bar(lower, estimate, upper, tolerate)} worse by {_points(estimate)}, "
        f"from {_points(lower)} to {_points(upper)}; tolerated {_points(tolerate)}"
    )


def _points(share: float) -> str:
    return points(share) if math.isfinite(share) else "not known"


def bar(lower: float, estimate: float, upper: float, tolerate: float) -> str:
    """The interval of the difference on a line of twice what is tolerated each way.

    `|` is no difference, `T` what is tolerated, `o` the estimate, `=` the interval.
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
