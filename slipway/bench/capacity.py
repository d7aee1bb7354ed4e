"""How much load one server sustains: its highest rate of quick, good answers.

Rates are doubled until one is too much, then the gap is halved. Each step is an
open-loop run; a rate is too much if it was so twice. A step in which the generator
itself was late twice ends the search, for it says nothing about the server.
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
"""Of the latency aimed at: a generator that is later than that at p99 blurs it."""
HEADROOM = 0.7
"""Share of the highest good rate that replicas are to be held at: the rest is for the
time that a new replica takes, and for one that is lost."""


@dataclass(frozen=True)
class Step:
    """One rate, asked for so long, and what became of it."""

    rate: float
    report: Report
    used: Used | None = None
    """What the server used meanwhile, if it reports that."""
    problem: str = ""
    """Why the rate is too much; empty if the rate is sustained."""

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
    """What a search may do, and what a good step is."""

    p99_seconds: float = 0.25
    step_seconds: float = 5.0
    total_seconds: float = 120.0
    first_rate: float = 10.0
    highest_rate: float = 2000.0
    refinements: int = 4
    """How often the gap between sustained and excessive rates is halved."""
    pause_seconds: float = 1.0
    """Between steps, so that one's backlog is not the next one's."""


@dataclass
class Capacity:
    """Steps in the order in which they were made, and how the search ended."""

    steps: list[Step] = field(default_factory=list)
    ended: str = ""
    """Why it ended before its aim; empty if it did not."""
    held: Step | None = None
    """A last run at HEADROOM of the highest sustained rate: the size of replicas."""

    @property
    def best(self) -> Step | None:
        """The step of the highest sustained rate."""
        sustained = [s for s in self.steps if not s.problem and not s.report.invalid]
        return max(sustained, key=lambda step: step.rate, default=None)

    @property
    def least_refused(self) -> float:
        """The lowest rate that was too much; infinite if none was."""
        return min((s.rate for s in self.steps if s.problem), default=math.inf)


Measure = Callable[[float, float], Step]
"""Makes one step of (rate, seconds)."""


def judge(report: Report, p99_seconds: float) -> str:
    """Why a rate is too much; empty if the rate is sustained."""
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
    """Fills `found` step by step, so that an interrupted search leaves what it has."""
    end = now() + limits.total_seconds

    def step(rate: float) -> Step | None:
        if now() + limits.step_seconds > end:
            found.ended = f"the time limit of {limits.total_seconds:g} s was reached"
            return None
        made = measure(rate, limits.step_seconds)
        if made.problem or made.report.invalid:
            # Once more: what happened may have been the machine's, and have passed.
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
    """The rate to try next, or None where the answer is known."""
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
        # Not even the first: down until a rate is sustained, or none can be.
        return refused / 4 if len(too_much) < 4 else None
    tried = sum(1 for step in found.steps if best <= step.rate or step.problem)
    if tried > limits.refinements + 1 or refused / best < 1.05:
        return None
    return (best + refused) / 2
