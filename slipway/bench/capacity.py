"""The load that one server sustains: its highest rate of fast, correct responses.

The rate is doubled until it is too high, then the gap is halved. Each step is an
open-loop run; a rate is too high if it failed twice. If the generator itself was late
twice in a step, the search ends, because the step says nothing about the server.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from slipway.bench.report import Report
from slipway.bench.usage import Used

LATE_SHARE = 0.2
"""Share of the target latency: a generator that is later than this at p99 blurs it."""
HEADROOM = 0.7
"""Share of the highest good rate that replicas should have. The rest covers the start
of a new replica and the loss of one."""


@dataclass(frozen=True)
class Step:
    """A run at one rate, and its result."""

    rate: float
    report: Report
    used: Used | None = None
    """The server's resource use during the run, if it reports that."""
    problem: str = ""
    """Why the rate is too high; empty if the server sustains it."""

    def as_data(self) -> dict[str, Any]:
        return {
            "rate": round(self.rate, 2),
            "sustained": not self.problem,
            "problem": self.problem,
            **self.report.as_data(),
            "used": self.used.as_data() if self.used else None,
        }


@dataclass(frozen=True)
class Limits:
    """Limits of a search, and conditions of a good step."""

    p99_seconds: float = 0.25
    step_seconds: float = 5.0
    total_seconds: float = 120.0
    first_rate: float = 10.0
    highest_rate: float = 2000.0
    refinements: int = 4
    """Number of times that the gap between sustained and excessive rates is halved."""
    pause_seconds: float = 1.0
    """Pause between steps, so that one's backlog does not affect the next."""


@dataclass
class Capacity:
    """Steps in the order in which they ran, and the end of the search."""

    steps: list[Step] = field(default_factory=list)
    ended: str = ""
    """Why the search ended early; empty if it did not."""
    held: Step | None = None
    """A last run at HEADROOM of the highest sustained rate: the size of replicas."""

    @property
    def best(self) -> Step | None:
        """Return the step with the highest sustained rate."""
        sustained = [s for s in self.steps if not s.problem and not s.report.invalid]
        return max(sustained, key=lambda step: step.rate, default=None)

    @property
    def least_refused(self) -> float:
        """Return the lowest rate that was too high; infinite without one."""
        return min((s.rate for s in self.steps if s.problem), default=math.inf)


Measure = Callable[[float, float], Step]
"""Runs one step of (rate, seconds)."""


def judge(report: Report, p99_seconds: float) -> str:
    """Return why a rate is too high; empty if the server sustains it."""
    if report.failed:
        worst = max(report.failed, key=lambda name: report.failed[name])
        number = sum(report.failed.values())
        return f"{number} of {report.sent} failed ({worst})"
    p99 = report.percentile(0.99)
    if math.isnan(p99):
        return "no request was answered"
    if p99 > p99_seconds:
        return f"p99 {1000 * p99:.0f} ms is over {1000 * p99_seconds:.0f} ms"
    return ""


def search(
    measure: Measure,
    limits: Limits,
    found: Capacity,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Capacity:
    """Add steps to `found` as they end, so an interrupted search keeps them."""
    end = now() + limits.total_seconds

    def step(rate: float) -> Step | None:
        if now() + limits.step_seconds > end:
            found.ended = f"the time limit of {limits.total_seconds:g} s was reached"
            return None
        made = measure(rate, limits.step_seconds)
        if made.problem or made.report.invalid:
            # Once more: the cause may have been the machine's, and temporary.
            sleep(limits.pause_seconds)
            if now() + limits.step_seconds <= end:
                made = measure(rate, limits.step_seconds)
        return made

    rate: float | None = limits.first_rate
    while rate is not None:
        made = step(rate)
        if made is None:
            break
        found.steps.append(made)
        if made.report.invalid:
            found.ended = made.report.invalid
            break
        rate = _next(found, limits)
        sleep(limits.pause_seconds)
    if found.best:
        end += limits.step_seconds + limits.pause_seconds  # it has its own time
        found.held = step(HEADROOM * found.best.rate)
    return found


def _next(found: Capacity, limits: Limits) -> float | None:
    """Return the next rate to try; None if the result is known."""
    best = found.best.rate if found.best else 0.0
    refused = found.least_refused
    if math.isinf(refused):
        if best >= limits.highest_rate:
            found.ended = (
                f"{best:g} requests/s, the highest rate allowed, was sustained"
            )
            return None
        return min(2 * best, limits.highest_rate)
    too_much = [step for step in found.steps if step.problem]
    if best == 0.0:
        # Even the first rate failed: go down until one is sustained, or none can be.
        return refused / 4 if len(too_much) < 4 else None
    tried = sum(1 for step in found.steps if best <= step.rate or step.problem)
    if tried > limits.refinements + 1 or refused / best < 1.05:
        return None
    return (best + refused) / 2
