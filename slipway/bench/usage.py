"""What a server says of itself on /metrics: processor, memory, requests in flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

CPU = "process_cpu_seconds_total"
MEMORY = "process_resident_memory_bytes"
IN_FLIGHT_SECONDS = "model_latency_seconds_sum"
"""Grows by one per second and request in flight (Little's law)."""


@dataclass(frozen=True)
class Reading:
    """One replica's figures at one moment."""

    cpu_seconds: float
    memory_bytes: float
    latency_seconds: float


@dataclass(frozen=True)
class Used:
    """What replicas used in one step, each on average."""

    cpu_cores: float
    memory_mib: float
    """The most of any replica."""
    inflight: float
    """Requests in flight in a replica, on average over the step."""

    def as_data(self) -> dict[str, Any]:
        return {
            "cpu_cores": round(self.cpu_cores, 4),
            "memory_mib": round(self.memory_mib, 1),
            "inflight": round(self.inflight, 3),
        }


def read(text: str) -> Reading | None:
    """The figures of a page of metrics; None if it lacks CPU or memory, or is none."""
    sums: dict[str, float] = {}
    try:
        for family in text_string_to_metric_families(text):
            for it in family.samples:
                sums[it.name] = sums.get(it.name, 0.0) + it.value
    except ValueError:
        return None
    if CPU not in sums or MEMORY not in sums:
        return None
    return Reading(sums[CPU], sums[MEMORY], sums.get(IN_FLIGHT_SECONDS, 0.0))


def between(
    before: Sequence[Reading], after: Sequence[Reading], seconds: float
) -> Used | None:
    """What was used from the first readings to the second; None if pods changed."""
    if not before or len(before) != len(after) or seconds <= 0:
        return None
    pairs = list(zip(before, after, strict=True))
    cpu = sum(b.cpu_seconds - a.cpu_seconds for a, b in pairs)
    waited = sum(b.latency_seconds - a.latency_seconds for a, b in pairs)
    if cpu < 0 or waited < 0:  # one started anew
        return None
    return Used(
        cpu / seconds / len(pairs),
        max(b.memory_bytes for b in after) / 2**20,
        waited / seconds / len(pairs),
    )
