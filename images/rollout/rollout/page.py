"""A rollout's data for readers: the page `/rollouts/SERVER`, as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rollout import experiment, record, words
from rollout.history import Point
from rollout.status import Status
from rollout.verdict import Outcome
from rollout.watched import Known, Watched

Plain = dict[str, Any]


def look(outcome: Outcome) -> Plain:
    """The newest look as JSON without fractions, which has no infinite ones."""
    return {
        "verdict": outcome.verdict.value,
        "reason": outcome.reason,
        "judgements": [record.plain(it) for it in outcome.judgements],
    }


def of_one(watched: Watched) -> Plain | None:
    """The newest look, with the rollout that it was at; None before the first."""
    if watched.outcome is None:
        return None
    return look(watched.outcome) | {"rollout": _rollout(watched, watched.outcome)}


def of_all(watched: Mapping[str, Watched]) -> Plain:
    """Every rollout in a line, by the server's name."""
    return {"rollouts": [_line(name, one) for name, one in watched.items()]}


def _line(server: str, one: Watched) -> Plain:
    outcome, seen = one.outcome, one.seen
    return {
        "server": server,
        "model": one.model or server,
        "headline": words.headline(seen.settings, one.status, seen.route)
        if seen
        else "",
        "phase": one.status.phase.value if one.status else None,
        "verdict": outcome.verdict.value if outcome else None,
        "reason": outcome.reason if outcome else "the controller has not looked yet",
    }


def _rollout(watched: Watched, outcome: Outcome) -> Plain | None:
    """None if its settings or its route cannot be read, as the reason then says."""
    seen, status = watched.seen, watched.status
    if seen is None:
        return None
    settings = seen.settings
    tolerated = {gate.name: gate.tolerate for gate in settings.gates}
    return {
        "server": settings.server,
        "stable": settings.stable,
        "canary": settings.canary,
        "headline": words.headline(settings, status, seen.route),
        "notes": [*words.notes(settings, status)],
        "looked": round(watched.ticked),
        "is_failing": watched.is_failing,
        "phase": status.phase.value if status else None,
        "stage": words.step(settings, status) if status else "",
        "steps": [{"weight": s.weight, "approval": s.approval} for s in settings.steps],
        "weights": dict(seen.route.weights),
        "mirrors": dict(seen.route.mirrors),
        "started": status.started if status else None,
        "deadline": status.begun + round(settings.deadline_hours * 3600)
        if status
        else None,
        "order": _order(status),
        "decisions": [asdict(it) for it in status.recent] if status else [],
        "experiment": _experiment(watched, seen),
        "gates": [
            {
                "gate": it.gate,
                "call": it.call.value,
                "reason": it.reason,
                "counted": words.counted(record.plain(it)),
                "difference": words.difference(
                    record.plain(it), tolerated.get(it.gate, 0.0)
                ),
                "tolerate": tolerated.get(it.gate, 0.0),
                "points": _points(watched.history.get(it.gate, ())),
            }
            for it in outcome.judgements
        ],
    }


def _order(status: Status | None) -> Plain | None:
    """The order in force, or the newest one while it is being carried out."""
    if status is None or status.order is None:
        return None
    order = status.order
    is_done = order.number <= status.order_done
    if is_done and status.standing is None:
        return None
    return asdict(order) | {"is_done": is_done}


def _experiment(watched: Watched, seen: Known) -> Plain | None:
    if seen.plan is None:
        return None
    status, now = watched.status, round(watched.ticked)
    found = experiment.of(
        seen.plan,
        status.recent[::-1] if status else (),
        settings=seen.settings,
        status=status,
        route=seen.route,
        now=now,
    )
    return {
        "plan": dict(found.plan),
        "headline": found.headline(seen.settings.server),
        "started": found.window.started if found.window else None,
        "ended": found.window.ended if found.window else None,
        "ends": found.ends,
        "uncounted": found.uncounted(now),
    }


def _points(found: Sequence[Point]) -> list[Plain]:
    """Bounds that are not known are null."""
    return [
        {
            name: value if math.isfinite(value) else None
            for name, value in asdict(it).items()
        }
        for it in found
    ]
