"""Convert measurements to lines of a stack file."""

from __future__ import annotations

import math
from typing import Any

from components.yaml_text import written
from slipway.bench.capacity import Capacity

MEMORY_REQUEST, MEMORY_LIMIT = 1.2, 1.5
"""Multiples of the measured maximum: smaller for requests, larger for limits."""
CPU_LIMIT = 1.5
"""Multiple of the CPU at the highest rate: a start and a burst need more."""
CPU_STEP_MILLICORES, MEMORY_STEP_MIB = 10, 16
SMALLEST_MEMORY_MIB = 64
SMALLEST_CPU_LIMIT = 200
"""In millicores; with less, a start takes minutes and each burst is throttled."""


def recommendation(found: Capacity, replicas: int) -> dict[str, Any]:
    """Settings of one replica from the load that `replicas` sustained; empty if none.

    `scaling.rate_per_replica` is the rate that a replica is to be held at,
    `scaling.inflight_per_replica` what it had in flight then, and never below 1.
    """
    held, best = found.held, found.best
    if held is None or best is None or held.problem or held.report.invalid:
        return {}
    if any(step.report.invalid for step in found.steps):
        return {}  # the generator ended the run, not the server
    if held.used and held.used.inflight:
        inflight = held.used.inflight
    else:  # Little's law over the whole path, including the network
        latencies = held.report.latencies
        mean = sum(latencies) / len(latencies)
        inflight = held.rate * mean / replicas
    rate = rate_per_replica(found, replicas) or 0.0
    settings: dict[str, Any] = {
        "scaling": {
            "signal": "inflight",
            "inflight_per_replica": max(1.0, math.ceil(10 * inflight - 1e-6) / 10),
            "rate_per_replica": max(0.1, math.floor(10 * rate + 1e-6) / 10),
        }
    }
    if held.used and best.used:
        request = _up(1000 * held.used.cpu_cores, CPU_STEP_MILLICORES)
        limit = _up(1000 * CPU_LIMIT * best.used.cpu_cores, CPU_STEP_MILLICORES)
        memory = max(held.used.memory_mib, best.used.memory_mib)
        settings["resources"] = {
            "cpu_request_millicores": request,
            "cpu_limit_millicores": max(request, limit, SMALLEST_CPU_LIMIT),
            "memory_request_mib": memory_mib(MEMORY_REQUEST * memory),
            "memory_limit_mib": memory_mib(MEMORY_LIMIT * memory),
        }
    return settings


def rate_per_replica(found: Capacity, replicas: int) -> float | None:
    """Return the target requests per second of a replica."""
    return found.held.rate / replicas if found.held else None


def memory_mib(mib: float) -> int:
    return max(SMALLEST_MEMORY_MIB, _up(mib, MEMORY_STEP_MIB))


def _up(value: float, step: int) -> int:
    return max(step, math.ceil(value / step) * step)


def snippet(settings: dict[str, Any]) -> str:
    """Return the settings as lines for `models.<name>` of a stack file."""
    return written(settings)
