"""A rollout through all steps whose labels come late: its settings, and its traffic.

tests/cluster/test_rollout_by_labels.py has them in the lab; `Gateway` plays the lab's
gateway and model monitor for the program itself, second by second.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from rollout import settings as settings_module
from rollout.settings import Settings

from components.delivery import rollout_file
from components.delivery.settings import RolloutSettings
from pod_parts.api_server import refusal
from tests.support.rollout_api import Served

COHORTS: dict[str, Any] = {
    "interval_seconds": 10,
    "labels_within_hours": 0.01,
    "counted_within_seconds": 30,
}
LATE_SECONDS = 15
"""Between a prediction and its label."""
TICK_SECONDS = 2
THROUGH: dict[str, Any] = {
    "from": "old",
    "to": "new",
    "shadow": {
        "percent": 100,
        "peak_requests_per_second": 100,
        "replica_requests_per_second": 200,
    },
    "steps": [{"weight": 5}, {"weight": 25}, {"weight": 50}],
    "interval_seconds": 10,
    "min_intervals": 2,
    "deadline_hours": 2,
    "gates": {
        "errors": {"tolerate_points": 5},
        "pairs": {
            "decisions": {"tolerate_points": 10},
            "accuracy": {"tolerate_points": 3},
        },
    },
    "cohorts": COHORTS,
}
ROWS = 2
"""Of each request that is copied."""
PLACES = [
    ("shadow", 0, 100),
    ("promote", 5, 0),
    ("promote", 25, 0),
    ("promote", 50, 0),
    ("promote", 100, 0),
]
"""Verdict, the canary's percent and its copies, of all decisions in order."""


def place(entry: dict[str, Any]) -> tuple[str, int, int]:
    """Of a decision's record, as PLACES has them."""
    copies = entry.get("mirrors", {}).get("after", 0)
    return entry["verdict"], entry["weights"]["after"], copies


def settings(**changes: Any) -> Settings:
    """The rollout as its controller reads it, of the server and pair of Served."""
    chosen = RolloutSettings.model_validate(
        THROUGH | {"from": "a", "to": "b"} | changes
    )
    return settings_module.read(rollout_file.settings("m", "models", chosen, "model"))


@dataclass
class Gateway:
    """What callers do in the lab, and what the gateway and the monitor count of it."""

    served: Served
    settings: Settings
    begins: int
    """When callers begin, in Unix seconds."""
    copied: int = 20
    """Requests a second while there are copies."""
    divided: int = 700
    """Requests a second while the canary has a weight."""
    lag_seconds: int = 15
    """From a prediction or a label to the monitor's counts."""
    bad_percent: int = 0
    """Of the canary's requests: the gateway answers 5xx."""
    labelled: bool = True
    wrong_percent: int = 0
    """Of the copied requests: the canary alone is wrong about them."""
    _requests: Counter[str] = field(default_factory=Counter)
    _copies: dict[int, int] = field(default_factory=dict)
    """Copied requests by second."""

    def second(self, now: int) -> None:
        """What happens in the second before `now`."""
        stable, canary = self.served.weights()
        copies = bool(self.served.mirrors())
        if now > self.begins and copies:
            self._copies[now - 1] = self.copied
            self._requests += Counter(stable=self.copied, canary=self.copied)
        elif now > self.begins:
            rate = self.divided
            self._requests += Counter(
                stable=rate * stable // 100, canary=rate * canary // 100
            )
        self._scrape(now)
        self.served.intervals = self._counted(now)

    def _scrape(self, now: int) -> None:
        """A counter of answers is there from the first answer on, as Envoy has it."""
        if now % self.settings.interval_seconds:
            return
        for gate in self.settings.gates:
            for selector in (gate.counters.stable, gate.counters.canary):
                self.served.counters.setdefault(selector, [])
        bad = self._requests["canary"] * self.bad_percent // 100
        self._add(self.settings.gates[0].counters.canary, now, bad, bad > 0)
        for arm in ("stable", "canary"):
            total = self._requests[arm]
            self._add(getattr(self.settings.total, arm), now, total, total > 0)
            self._add(getattr(self.settings.completed, arm), now, total, True)

    def _add(self, selector: str, now: int, value: int, there: bool) -> None:
        series = self.served.counters.setdefault(selector, [])
        if there and not series:
            series.append({})
        if there:
            series[0][now] = value

    def _counted(self, now: int) -> dict[str, Any]:
        """contracts/revision_intervals.yaml, of all that has come by now."""
        length = COHORTS["interval_seconds"]
        found: dict[int, dict[str, Any]] = {}
        for second, requests in self._copies.items():
            if second + self.lag_seconds > now:
                continue
            start = second // length * length
            one = found.setdefault(start, {"start": start, "copies": 0})
            one["copies"] += requests * ROWS
            pair = one.setdefault("originals", {}).setdefault("a", Counter())
            pair["decided"] += requests * ROWS
            wrong = requests * ROWS * self.wrong_percent // 100
            pair["changed"] += wrong
            late = second + LATE_SECONDS + self.lag_seconds
            if self.labelled and late <= now:
                pair["labelled"] += requests * ROWS
                pair["only_original_right"] += wrong
        for one in found.values():
            pair = one["originals"]["a"]
            names = ("labelled", "changed", "only_copy_right", "only_original_right")
            one["originals"]["a"] = {name: pair[name] for name in ("decided", *names)}
        return {
            "model": "model",
            "seconds": length,
            "revisions": {},
            "pairs": {"b": [*found.values()]},
        }


@dataclass
class Within:
    """A client of Served in the same process: a rollout takes some thousand calls."""

    served: Served

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        content = json.loads(json.dumps(body))
        status, found = self.served.answer(method, path, content)
        if status >= HTTPStatus.BAD_REQUEST:
            raise refusal(f"{method} {path}", status, json.dumps(found))
        return json.loads(json.dumps(found))
