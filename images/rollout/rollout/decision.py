"""The controller's next action, from what it sees alone.

A decision takes four writes: the intent (status), the weights (route), the ledger's
entry, and that it is done (status). Each but the entry replaces the version that was
read, so of two controllers one loses and looks again. A controller that finds an intent
finishes it, or calls it off if an order, new settings or other weights have come in
between.

An entry that the ledger does not take (a quota, a webhook) waits in the status, so that
harm and orders are still decided. The next step waits for it.
"""

from __future__ import annotations

from dataclasses import replace

from rollout import decided, record
from rollout.actions import Action, Wait, WriteEntry, WriteRoute, WriteStatus
from rollout.facts import Facts
from rollout.seen import Seen
from rollout.status import Intent, Order, OrderKind, Phase, Status
from rollout.verdict import Outcome, Verdict, weigh


def next_action(seen: Seen) -> Action:
    """One write or none; look again after it, whether it was made or lost."""
    status = seen.status
    if status and not status.intent and _is_to_retry(seen, status):
        return _retry(seen, status)
    found = _next(seen)
    if isinstance(found, Wait) and status and status.pending:
        number = len(status.pending)
        text = f"entries that wait for the ledger: {number} ({seen.refused})"
        reason = f"{found.outcome.reason}; {text}"
        return Wait(replace(found.outcome, verdict=Verdict.STOP, reason=reason))
    return found


def _next(seen: Seen) -> Action:
    status = seen.status
    weight = seen.route.weight(seen.settings)
    if status and status.intent:
        return _finish(seen, status, status.intent, weight)
    if weight is None:
        names = f"{seen.settings.stable} and {seen.settings.canary}"
        return _stop(
            f"the route does not divide 100 % among {names}; set rollout to the pair "
            "that has the requests and end that rollout first: `slipway rollout "
            "promote` or `back`"
        )
    if seen.route.stale:
        # Other time limits or API versions, or a new pair: the weights stay.
        return _write(seen, weight, seen.route.mirror(seen.settings))
    if status is None:
        found = _begun(seen, weight)
        return WriteStatus(found, seen.status_version, "the rollout begins")
    if status.order and status.order.number > status.order_done:
        return _apply_order(seen, status, status.order, weight)
    return _rest(seen, status, weight)


def _rest(seen: Seen, status: Status, weight: int) -> Action:
    """Without an intent, without a new order."""
    if _makes_room(seen, status, weight):
        found = _again(seen, status)
        return WriteStatus(found, seen.status_version, "another rollout begins")
    if order := status.standing:
        text = order.reason
        settings = seen.settings
        if not status.is_of(settings.stable, settings.canary):
            pair = f"{settings.stable} -> {settings.canary}"
            text = f"{text}; `slipway rollout resume` begins {pair}"
        return Wait(Outcome(Verdict.HOLD, text))
    if reason := _moved_by_others(seen, status, weight):
        return _stop(reason)
    if status.phase is not Phase.RUNNING:
        return Wait(Outcome(Verdict.HOLD, f"it has ended: {status.phase}"))
    return _weigh(seen, status, _facts(seen, status, weight))


def _moved_by_others(seen: Seen, status: Status, weight: int) -> str:
    """Return what others have changed; empty if nothing."""
    if status.generation != seen.settings.generation:
        return "the settings have changed; `slipway rollout resume` takes them"
    if weight != status.weight:
        return f"the canary's weight was {status.weight} and is {weight}"
    mirror = seen.route.mirror(seen.settings)
    if mirror != status.mirror:
        return f"copies of {status.mirror} % of the requests have become {mirror} %"
    return ""


def _makes_room(seen: Seen, status: Status, weight: int) -> bool:
    """Return whether the rollout has ended and the settings name the next pair.

    An order ends with its pair, except for a pause, which holds all changes.
    """
    if status.is_of(seen.settings.stable, seen.settings.canary) or weight:
        return False
    order = status.standing
    paused = order is not None and order.kind is OrderKind.PAUSE
    return status.phase is not Phase.RUNNING and not paused


def _weigh(seen: Seen, status: Status, facts: Facts) -> Action:
    outcome = weigh(seen.settings, facts)
    if outcome.verdict is Verdict.HOLD:
        return Wait(outcome)
    if status.pending and outcome.verdict in (Verdict.PROMOTE, Verdict.SHADOW):
        return Wait(replace(outcome, verdict=Verdict.HOLD))
    goal = outcome.goal(seen.settings, facts)
    mirror = outcome.mirror(seen.settings, facts)
    return _decide(
        seen, status, facts, outcome, goal=goal, mirror=mirror, by_order=False
    )


def _apply_order(seen: Seen, status: Status, order: Order, weight: int) -> Action:
    facts = _facts(seen, status, weight)
    return _decide(
        seen,
        status,
        facts,
        Outcome(Verdict.ORDER, order.reason),
        goal=order.goal(weight),
        mirror=order.mirror(facts.mirror),
        by_order=True,
    )


def _decide(
    seen: Seen,
    status: Status,
    facts: Facts,
    outcome: Outcome,
    *,
    goal: int,
    mirror: int,
    by_order: bool,
) -> Action:
    number = status.decisions + 1
    identity = f"{seen.settings.server}-{status.begun}-{number}"
    content = record.entry(
        identity,
        seen.settings,
        facts,
        outcome,
        goal=goal,
        order=status.order if by_order else None,
        previous=status.head,
        mirror=mirror,
    )
    intent = Intent(
        id=identity,
        start=facts.weight,
        goal=goal,
        order=status.order_number,
        by_order=by_order,
        generation=seen.settings.generation,
        record=content,
        start_mirror=facts.mirror,
        mirror=mirror,
    )
    found = replace(status, decisions=number, intent=intent)
    return WriteStatus(found, seen.status_version, f"{outcome.verdict} to {goal} %")


def _finish(seen: Seen, status: Status, intent: Intent, weight: int | None) -> Action:
    mirror = seen.route.mirror(seen.settings)
    if (weight, mirror) == (intent.goal, intent.mirror):
        if _is_to_retry(seen, status):
            return _retry(seen, status)  # entries come in the order of the decisions
        if not seen.refused and seen.recorded != intent.id:
            return WriteEntry(intent.record)
        return WriteStatus(_done(seen, status, intent), seen.status_version, "done")
    if not _is_off(seen, status, intent, weight):
        return _write(seen, intent.goal, intent.mirror)
    if seen.route.fence != intent.called_off:
        # A pending write of the weights was based on the version before this one.
        return WriteRoute(seen.route.version, fence=intent.called_off)
    found = replace(status, intent=None)
    return WriteStatus(found, seen.status_version, "the decision is called off")


def _is_to_retry(seen: Seen, status: Status) -> bool:
    return bool(status.pending) and not seen.refused


def _retry(seen: Seen, status: Status) -> Action:
    """The oldest entry that the ledger lacks, or that it has it now."""
    first, *others = status.pending
    if seen.recorded != first["id"]:
        return WriteEntry(first)
    found = replace(status, pending=tuple(others))
    return WriteStatus(found, seen.status_version, "the entry is in the ledger")


def _write(seen: Seen, weight: int, mirror: int) -> WriteRoute:
    """The route with that weight and share of copies of the canary."""
    mirrors = {seen.settings.canary: mirror} if mirror else {}
    weights = seen.settings.weights(weight)
    return WriteRoute(seen.route.version, weights=weights, mirrors=mirrors)


def _is_off(seen: Seen, status: Status, intent: Intent, weight: int | None) -> bool:
    return (
        status.order_number > intent.order
        or seen.settings.generation != intent.generation
        or seen.route.fence == intent.called_off
        or (weight, seen.route.mirror(seen.settings))
        != (intent.start, intent.start_mirror)
    )


def _done(seen: Seen, status: Status, intent: Intent) -> Status:
    """The status after a decision; a step that begins counts from now."""
    finished = replace(
        status,
        intent=None,
        head=record.digest(intent.record),
        recent=decided.with_newest(status.recent, intent.record),
        pending=(*status.pending, intent.record) if seen.refused else status.pending,
    )
    if not intent.by_order:
        return _at(seen, finished, intent.goal)
    finished = replace(finished, order_done=intent.order)
    kind = OrderKind(intent.record["order"]["kind"])
    if kind in (OrderKind.PAUSE, OrderKind.APPROVE):
        return finished
    # A person's order is about the current pair, and remains in force for it.
    pair = intent.record["settings"]
    finished = replace(finished, stable=pair["stable"], canary=pair["canary"])
    if kind is OrderKind.RESUME:
        return _resumed(seen, finished, intent)
    return _at(seen, finished, intent.goal)


def _at(seen: Seen, status: Status, weight: int) -> Status:
    """The status with the canary at that weight, and the route's copies."""
    mirror = seen.route.mirror(seen.settings)
    moved = (weight, mirror) != (status.weight, status.mirror)
    ended = {100: Phase.PROMOTED} | ({} if mirror else {0: Phase.BACK})
    return replace(
        status,
        started=seen.now if moved else status.started,
        weight=weight,
        step=seen.settings.step_of(weight),
        phase=ended.get(weight, Phase.RUNNING),
        mirror=mirror,
    )


def _resumed(seen: Seen, status: Status, intent: Intent) -> Status:
    """The gates decide again: from the counts of now on and with a new deadline.

    Time in which they did not decide has no bound, and Prometheus' answers have one.
    """
    found = _at(seen, status, intent.goal)
    return replace(
        found,
        generation=intent.generation,
        begun=seen.now,
        started=seen.now,
        phase=Phase.PROMOTED if intent.goal == 100 else Phase.RUNNING,
    )


def _begun(seen: Seen, weight: int) -> Status:
    return Status(
        generation=seen.settings.generation,
        begun=seen.now,
        started=seen.now,
        weight=weight,
        step=seen.settings.step_of(weight),
        phase=Phase.PROMOTED if weight == 100 else Phase.RUNNING,
        stable=seen.settings.stable,
        canary=seen.settings.canary,
        mirror=seen.route.mirror(seen.settings),
    )


def _again(seen: Seen, status: Status) -> Status:
    """A new rollout after one that has ended; the chain of entries goes on."""
    return replace(
        _begun(seen, 0),
        decisions=status.decisions,
        order=status.order,
        order_done=status.order_done,
        order_over=status.order_done,
        head=status.head,
        recent=status.recent,
        pending=status.pending,
    )


def _facts(seen: Seen, status: Status, weight: int) -> Facts:
    return Facts(
        now=seen.now,
        begun=status.begun,
        started=status.started,
        step=status.step,
        weight=weight,
        ready=seen.ready,
        counts=seen.counts,
        mirror=seen.route.mirror(seen.settings),
        approved=status.approved,
    )


def _stop(reason: str) -> Wait:
    return Wait(Outcome(Verdict.STOP, reason))
