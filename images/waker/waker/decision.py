"""The next action for one model, from its own state alone.

Nothing is remembered but the time since which the model has been covered, so a waker
that starts anew goes on where the last one stopped. Covered means: the waker's own
endpoint is ready, so that the gateway sends requests to the waker, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """One thing to do; the next is decided when this one is seen to be done."""

    NOTHING = "nothing"
    COVER = "cover"
    SLEEP = "sleep"
    WAKE = "wake"
    UNCOVER = "uncover"


@dataclass(frozen=True)
class Seen:
    """A model as the API and the waker's own counts show it."""

    replicas: int
    """Replicas that its Deployment asks for."""
    ready: int
    """Model pods that are ready, by the endpoint slices of the cluster's controller."""
    covered_since: float | None
    """When the waker's endpoint was seen ready; a new waker takes its own start."""
    waiting: int
    """Requests that the waker holds or forwards now."""
    idle: bool
    """Whether the model's pods have counted no request for long enough."""


def decide(seen: Seen, now: float, settle_seconds: float) -> Step:
    """The next step; settle_seconds is how long the gateway may take to learn."""
    if seen.replicas == 0:
        return _asleep(seen)
    if seen.ready == 0:
        # Waking, or an outage: a cover that is there stays and holds; a new one
        # would hide the outage from callers' retries and from alerts.
        return Step.NOTHING
    if seen.covered_since is None:
        return Step.COVER if seen.idle and not seen.waiting else Step.NOTHING
    if not seen.idle or seen.waiting:
        return Step.UNCOVER
    settled = now - seen.covered_since >= settle_seconds
    return Step.SLEEP if settled else Step.NOTHING


def _asleep(seen: Seen) -> Step:
    if seen.waiting:
        return Step.WAKE
    # At zero without a cover, as when somebody removed it: callers would meet nothing.
    return Step.COVER if seen.covered_since is None else Step.NOTHING
