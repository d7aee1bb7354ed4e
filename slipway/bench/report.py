"""The results of an open-loop run, and whether the generator itself kept up."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

FAILURES_KEPT = 1000


@dataclass
class Report:
    """Counts, latencies and lateness in seconds; grows while a run lasts."""

    sent: int = 0
    """Requests that were due."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Number of requests by outcome: statuses, or names of errors."""
    latencies: array[float] = field(default_factory=lambda: array("d"))
    """Of good responses, from the intended start to the end of the response."""
    lateness: array[float] = field(default_factory=lambda: array("d"))
    """Lateness of the generator at each arrival."""
    failures: list[tuple[float, str]] = field(default_factory=list)
    """(seconds after the start, outcome) of the first failed ones."""
    seconds: float = 0.0
    """The whole run, including the wait for the last responses."""
    stopped: bool = False
    """Whether it ended before its schedule."""
    late_limit_seconds: float = 0.010
    last_good: float = 0.0
    """Seconds from the start to the last good response."""

    def begun(self, late: float) -> None:
        self.sent += 1
        self.lateness.append(late if late > 0 else 0.0)

    def ended(self, meant: float, latency: float, outcome: str) -> None:
        self.outcomes[outcome] += 1
        if outcome.startswith("2"):
            self.latencies.append(latency)
            self.last_good = max(self.last_good, meant + latency)
        elif len(self.failures) < FAILURES_KEPT:
            self.failures.append((round(meant, 3), outcome))

    @property
    def good(self) -> int:
        return len(self.latencies)

    @property
    def failed(self) -> dict[str, int]:
        """Count the outcomes that do not start with "2"."""
        return {k: n for k, n in self.outcomes.items() if not k.startswith("2")}

    @property
    def goodput(self) -> float:
        """Return good responses per second."""
        return self.good / self.last_good if self.last_good else 0.0

    @property
    def late_p99(self) -> float:
        return percentile(self.lateness, 0.99)

    @property
    def invalid(self) -> str:
        """Return why the run says nothing about the server; empty if it is valid."""
        if not self.sent or self.late_p99 <= self.late_limit_seconds:
            return ""
        return (
            f"the generator was {1000 * self.late_p99:.1f} ms late at p99, more than "
            f"{1000 * self.late_limit_seconds:g} ms: this machine has no core to spare"
        )

    def percentile(self, share: float) -> float:
        """Return the latency percentile of good responses; NaN without any."""
        return percentile(self.latencies, share)

    def as_data(self) -> dict[str, Any]:
        """Plain numbers for JSON; times in seconds."""
        return {
            "sent": self.sent,
            "outcomes": dict(self.outcomes),
            "seconds": round(self.seconds, 3),
            "goodput": round(self.goodput, 2),
            "latency": {
                name: round(self.percentile(share), 6) if self.good else None
                for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
            },
            "late_p99": round(self.late_p99, 6) if self.sent else None,
            "stopped": self.stopped,
            "invalid": self.invalid,
        }


def percentile(values: array[float], share: float) -> float:
    """Return the smallest value that `share` of them do not exceed; NaN of none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
