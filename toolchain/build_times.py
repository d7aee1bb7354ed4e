"""How much longer builds take, by earlier ones here or by the pace of this one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

SHARES = {
    "pulumi": 246,
    "pulumi-kubernetes": 339,
    "kubernetes": 223,
    "containerd": 37,
    "coredns": 11,
    "metrics-server": 8,
    "envoy-gateway": 60,
    "karpenter": 24,
    "kwok": 9,
    "keda": 400,
    "compose": 143,
}
"""Each group's seconds in a build of all groups in the order of groups.toml, on two
cores with empty caches, 2026-11-29. KEDA and Compose beside other work."""
LEAST_SHARE = 10
"""Built before this run's pace tells anything."""


def earlier(folder: Path) -> float | None:
    """Seconds of a group's longest build into its folder; None without one."""
    found = []
    for record in folder.glob("*/build.json"):
        try:
            found.append(float(json.loads(record.read_text())["seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return max(found, default=None)


def said(seconds: float) -> str:
    """A time for a person: `40 s`, `12 min`."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


class TimeLeft:
    """The seconds left of a run that builds some groups in their order.

    `known` has the seconds of earlier builds by group. For a group without one, its
    usual share and the pace of this run give the estimate.
    """

    def __init__(
        self,
        groups: Iterable[str],
        known: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._groups = list(groups)
        self._known = known
        self._clock = clock
        self._start = clock()

    def at(self, group: str, done: int, total: int) -> float | None:
        """When `group` has compiled `done` of `total` packages; None: unknown."""
        part = done / total if total else 1.0
        place = self._groups.index(group)
        built = part * SHARES.get(group, 0)
        built += sum(SHARES.get(name, 0) for name in self._groups[:place])
        elapsed = self._clock() - self._start
        pace = elapsed / built if built >= LEAST_SHARE else None
        left = 0.0
        for name in self._groups[place:]:
            share = 1 - part if name == group else 1.0
            if name in self._known:
                left += share * self._known[name]
            elif pace is None and SHARES.get(name, 0):
                return None
            else:
                left += share * SHARES.get(name, 0) * (pace or 0.0)
        return left
