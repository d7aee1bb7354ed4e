"""A server's own metrics of CPU, memory and in-flight requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

CPU = "process_cpu_seconds_total"
MEMORY = "process_resident_memory_bytes"
IN_FLIGHT_SECONDS = "model_latency_seconds_sum"
"""Grows by one per second and in-flight request (Little's law)."""


@dataclass(frozen=True)
class Reading:
    """One replica's values at one point in time."""

    cpu_seconds: float
    memory_bytes: float
    latency_seconds: float


@dataclass(frozen=True)
class Used:
    """Average resource use of the replicas in one step."""

    cpu_cores: float
    memory_mib: float
    """Maximum of any replica."""
    inflight: float
    """Average in-flight requests of a replica over the step."""

    def as_data(self) -> dict[str, Any]:
        return {
            "cpu_cores": round(self.cpu_cores, 4),
            "memory_mib": round(self.memory_mib, 1),
            "inflight": round(self.inflight, 3),
        }


def read(text: str) -> Reading | None:
    """Parse a page of metrics; None without CPU or memory, or if it is malformed."""
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
    """Return the use between two readings; None if pods changed."""
    if not before or len(before) != len(after) or seconds <= 0:
        return None
    pairs = list(zip(before, after, strict=True))
    cpu = sum(b.cpu_seconds - a.cpu_seconds for a, b in pairs)
    waited = sum(b.latency_seconds - a.latency_seconds for a, b in pairs)
    if cpu < 0 or waited < 0:  # a replica restarted
        return None
    return Used(
        cpu / seconds / len(pairs),
        max(b.memory_bytes for b in after) / 2**20,
        waited / seconds / len(pairs),
    )
