"""Settings of interval counts, for a model whose revisions a rollout compares."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from model_monitor.config_fields import REQUIRED, Fields, WrongError


@dataclass(frozen=True)
class Intervals:
    """Length of an interval, how far back they are counted, and groups of people."""

    seconds: int
    days: int
    """Number of whole days (UTC) before today."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values that are counted apart, by protected attribute."""
    pairs: bool = False
    """Whether copied requests are counted beside their originals."""

    @property
    def digest(self) -> str:
        """Digest of all that decides the counts of a day, beside its files."""
        content: list[object] = [self.seconds, sorted(self.groups.items())]
        if self.pairs:
            content.append("pairs")
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def parse(fields: Fields) -> Intervals:
    """Return the settings of a model's section `intervals`."""
    found = Intervals(
        seconds=fields.member("seconds", REQUIRED, _seconds, 3600),
        days=fields.whole("days", REQUIRED, 0, 400),
        groups=fields.member("groups", {}, _groups, {}),
        pairs=fields.member("pairs", False, _flag, False),
    )
    fields.end()
    return found


def _seconds(value: object) -> int:
    """Whole intervals in a day: the counts of each day are a file of their own."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongError("is not a whole number; give one")
    if not 10 <= value <= 86_400 or 86_400 % value:
        raise WrongError("does not divide a day; give a divisor of 86400, 10 or more")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise WrongError("is not true or false; give one of them")
    return value


def _groups(value: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict) or not all(
        isinstance(names, list) and names and all(isinstance(it, str) for it in names)
        for names in value.values()
    ):
        raise WrongError('are not lists of values by attribute; write {"sex": ["1"]}')
    return {str(name): tuple(names) for name, names in value.items()}
