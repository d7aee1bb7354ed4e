"""A rollout in words: `slipway rollout status` and the model console say the same."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from rollout.gate import points
from rollout.seen import Route
from rollout.settings import Settings
from rollout.status import Phase, Status

PHASES = {Phase.PROMOTED: "promoted", Phase.BACK: "taken back"}


def is_changed(settings: Settings, status: Status | None) -> bool:
    """Return whether the settings differ from those that the rollout began with."""
    return bool(status and status.generation != settings.generation)


def is_next(settings: Settings, status: Status | None) -> bool:
    """Return whether the settings name another pair than the previous rollout."""
    return status is not None and not status.is_of(settings.stable, settings.canary)


def headline(settings: Settings, status: Status | None, route: Route) -> str:
    """Return the pair, the shares of the requests, and the step."""
    weight = route.weight(settings)
    share = "?" if weight is None else weight
    copies = route.mirror(settings)
    copied = f" and copies of {copies} %" if copies else ""
    return (
        f"{settings.server}: {settings.stable} -> {settings.canary}, {share} % of the "
        f"requests{copied}{_phase(settings, status)}"
    )


def notes(settings: Settings, status: Status | None) -> Iterator[str]:
    """What stands between the rollout and its settings, or an order and its effect."""
    if status is None:
        yield "the controller has not begun"
    elif status.order and status.order.number > status.order_done:
        yield f"order under way: {status.order.kind} by {status.order.who}"
    elif status.order and status.approved > status.weight:
        yield f"{status.approved} % is approved by {status.order.who}"
    if status and status.pending:
        yield f"not in the ledger yet: {', '.join(it['id'] for it in status.pending)}"
    if status and is_next(settings, status):
        yield f"not begun; the one before: {status.stable} -> {status.canary}"
    elif is_changed(settings, status):
        yield "its settings have changed since it began"


def _phase(settings: Settings, status: Status | None) -> str:
    """Return the phase for the current settings; empty for other settings."""
    if status is None or is_changed(settings, status):
        return ""
    if status.phase in PHASES:
        return f", {PHASES[status.phase]}"
    return f", {step(settings, status)} since {moment(status.started)} UTC"


def step(settings: Settings, status: Status) -> str:
    if status.mirror:
        return "shadow step"
    return f"step {status.step + 1} of {len(settings.steps)}"


def moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def counted(one: Mapping[str, Any]) -> str:
    """Return a gate's counts; `one` is a judgement as record.plain gives it."""
    canary, stable = (
        f"{bad} of {total}"
        for bad, total in zip(one["bad"], one["requests"], strict=True)
    )
    return f"canary {canary}, stable {stable} bad in {one['intervals']} intervals"


def difference(one: Mapping[str, Any], tolerate: float) -> str:
    """Return how much worse the canary is, and the tolerance."""
    estimate, lower, upper = (
        _points(float(one[name])) for name in ("estimate", "lower", "upper")
    )
    return (
        f"worse by {estimate}, from {lower} to {upper}; tolerated {_points(tolerate)}"
    )


def _points(share: float) -> str:
    return points(share) if math.isfinite(share) else "not known"
