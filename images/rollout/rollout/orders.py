"""The weight of a person's order, by the status that the order replaces.

protocol.give calls these between reading and writing the status: whoever comes in
between makes the write lose, and the weight is computed again.
"""

from __future__ import annotations

from rollout.facts import Ready
from rollout.settings import Settings
from rollout.status import Phase, Status


def to_promote(settings: Settings, status: Status) -> int:
    """The weight of the next step, in percent; LookupError if it has not begun."""
    _about(settings, status)
    return settings.weight_after(settings.step_of(status.weight))


def with_replicas(weight: int, settings: Settings, status: Status, ready: Ready) -> int:
    """The weight; LookupError if the canary has not the replicas that it needs.

    As many as the gates wait for. Less weight than now needs none.
    """
    needed = ready.needed(weight)
    is_of = status.is_of(settings.stable, settings.canary)
    if weight > (status.weight if is_of else 0) and ready.canary < needed:
        raise LookupError(
            f"{weight} % needs {needed} ready replicas of the new revision, it has "
            f"{ready.canary}, {needed - ready.canary} too few; raise min_replicas of "
            "its scaling, or give --despite-replicas"
        )
    return weight


def to_approve(settings: Settings, status: Status) -> int:
    """The weight of the next step, in percent; LookupError says why there is none."""
    _about(settings, status)
    if order := status.standing:
        raise LookupError(
            f"{order.kind} by {order.who} holds it, so the gates take no step; "
            "`slipway rollout resume` first"
        )
    if status.generation != settings.generation:
        raise LookupError(
            "its settings have changed since it began; `slipway rollout resume` first"
        )
    if status.phase is not Phase.RUNNING:
        raise LookupError(f"it has ended: {status.phase}; nothing is to be approved")
    weight = settings.weight_after(status.step)
    if not settings.approval_after(status.step):
        raise LookupError(
            f"the next step, {weight} %, needs no approval; the gates take it"
        )
    return weight


def _about(settings: Settings, status: Status) -> None:
    if not status.is_of(settings.stable, settings.canary):
        raise LookupError(
            f"{settings.stable} -> {settings.canary} has not begun; the rollout before "
            f"is {status.stable} -> {status.canary}"
        )
