"""The calls of the controller and of a person's order to the cluster, one at a time.

Both are generators: they yield a call and are sent its answer. The program sends the
calls to the API server and Prometheus (rollout/cluster.py); a test runs several at once
in any order and ends them after any call.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from rollout.actions import Refused, Wait, WriteEntry, WriteRoute, WriteStatus
from rollout.counts import Series
from rollout.decision import next_action
from rollout.facts import Ready
from rollout.seen import Route, Seen
from rollout.settings import Settings
from rollout.status import Order, OrderKind, Phase, Status

Result = TypeVar("Result")
MOST_ACTIONS = 20
"""Maximum actions in one tick; with more, two sides would undo each other's work."""


@dataclass(frozen=True)
class ReadRoute:
    """Answer: Route."""


@dataclass(frozen=True)
class ReadStatus:
    """Answer: Status or None, and its resourceVersion."""


@dataclass(frozen=True)
class ReadSettings:
    """Answer: Settings."""


@dataclass(frozen=True)
class ReadCounts:
    """Answer: Ready or None, and counts by gate or None."""

    settings: Settings
    since: int
    """Unix seconds."""


@dataclass(frozen=True)
class ReadClock:
    """Answer: now, in Unix seconds."""


Read = ReadRoute | ReadStatus | ReadSettings | ReadCounts | ReadClock
Write = WriteStatus | WriteRoute | WriteEntry


def run(
    actor: Generator[Read | Write, Any, Result], answer: Callable[[Any], Any]
) -> Result:
    """Make an actor's calls one after the other; return what it returns."""
    found: Any = None
    while True:
        try:
            call = actor.send(found)
        except StopIteration as done:
            result: Result = done.value
            return result
        found = answer(call)


def look(recorded: str, refused: str = "") -> Generator[Read, Any, Seen]:
    """All that a decision needs; the order matters (rollout/seen.py).

    `recorded`: id of an entry that is known to be in the ledger. `refused`: why it took
    none.
    """
    route: Route = yield ReadRoute()
    status: Status | None
    status, version = yield ReadStatus()
    settings: Settings = yield ReadSettings()
    ready: Ready | None = None
    counts: Mapping[str, Series] | None = None
    if status and _needs_counts(status):
        ready, counts = yield ReadCounts(settings, status.started)
    now: int = yield ReadClock()
    return Seen(
        now=now,
        route=route,
        settings=settings,
        status=status,
        status_version=version,
        ready=ready,
        counts=counts,
        recorded=recorded,
        refused=refused,
    )


def _needs_counts(status: Status) -> bool:
    """Whether a decision may follow; the time since the step's beginning has no bound.

    The record of an order keeps the counts at which it was given.
    """
    if status.intent:
        return False
    if status.order and status.order.number > status.order_done:
        return True
    return status.phase is Phase.RUNNING and not status.standing


def tick() -> Generator[Read | Write, Any, Wait | None]:
    """Carry out the next actions; return why it waits, or None after conflicts.

    A write's answer is whether it was made, or for an entry Refused. Lost or not,
    everything is read again. An entry that was refused is tried again in the next tick.
    """
    recorded = refused = ""
    for _ in range(MOST_ACTIONS):
        seen = yield from look(recorded, refused)
        action = next_action(seen)
        if isinstance(action, Wait):
            return action
        answer = yield action
        if isinstance(answer, Refused):
            refused = answer.reason
        elif isinstance(action, WriteEntry):
            # Created, or there already: the ledger has it.
            recorded = action.entry["id"]
    return None


def give(
    kind: OrderKind, *, who: str, why: str, weight: int | Callable[[Status], int] = 100
) -> Generator[Read | Write, Any, Order]:
    """A person's order; once this has returned, no earlier decision moves the weights.

    `weight`: percent, or its function of the status that the order replaces.
    LookupError if no rollout has begun, or from that function.

    The status comes first: a controller that reads it later obeys. Then the route's
    fencing value changes: a controller that has read the status earlier loses its
    write.
    """
    while True:
        status: Status | None
        status, version = yield ReadStatus()
        if status is None:
            raise LookupError("no rollout has begun that an order could be given to")
        now: int = yield ReadClock()
        number = status.order_number + 1
        percent = weight(status) if callable(weight) else weight
        order = Order(number, kind, who, why, now, percent)
        new = replace(status, order=order)
        if (yield WriteStatus(new, version, f"order {number}: {kind}")):
            break
    while True:
        route: Route = yield ReadRoute()
        if (yield WriteRoute(route.version, fence=f"order-{order.number}")):
            return order
