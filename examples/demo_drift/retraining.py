"""What the monitor asked to be retrained for, and whether it had reason to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

LOGGER, MESSAGE = "model_monitor.retraining", "retraining requested"


@dataclass(frozen=True)
class Requested:
    """One request to retrain."""

    date: dt.date
    causes: tuple[str, ...]
    """Metrics below their baseline as "quality <metric>", and "concept"."""

    @classmethod
    def of_line(cls, line: dict[str, Any]) -> Self | None:
        """Return the request that a line of the monitor's log reports, if any."""
        if (line.get("logger"), line.get("message")) != (LOGGER, MESSAGE):
            return None
        date = dt.date.fromisoformat(line["request"][-len("2026-11-29") :])
        return cls(date, tuple(line["causes"]))

    def __str__(self) -> str:
        return f"{self.date}: retraining requested for {', '.join(self.causes)}"


def wrong(found: Sequence[Requested], expected_from: dt.date) -> list[str]:
    """Return what is not as it should be.

    expected_from: the first day with labels of rows that the model answers badly.
    """
    problems = [
        f"{it}, though quality was as usual" for it in found if it.date < expected_from
    ]
    if not any(it.date >= expected_from for it in found):
        problems.append(f"no retraining was requested from {expected_from} on")
    return problems
