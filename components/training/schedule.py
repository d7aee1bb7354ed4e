"""Cron schedules, checked by the CronJob controller's rules.

Five fields, each of values, ranges and steps: what ParseStandard accepts, without its
@-words. https://github.com/robfig/cron/blob/v3.0.1/parser.go
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from components.settings import refuse

_RANGE = re.compile(r"(?:[*?]|(\w+)(?:-(\w+))?)(?:/([0-9]{1,4}))?", re.ASCII)


@dataclass(frozen=True)
class Field:
    """One of the five."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    """Words for the values, from `least` on; case does not matter."""

    def takes(self, text: str) -> bool:
        """Return whether all parts of a list are values, ranges or steps of it."""
        return all(map(self._takes, text.split(",")))

    def _takes(self, part: str) -> bool:
        found = _RANGE.fullmatch(part)
        if not found:
            return False
        first, last, step = found.groups()
        low = self.least if first is None else self._value(first)
        high = low if last is None else self._value(last)
        if low is None or high is None or low > high:
            return False
        return step is None or int(step) > 0

    def _value(self, word: str) -> int | None:
        """Return the value; None if the field has no such value."""
        if word.lower() in self.names:
            return self.least + self.names.index(word.lower())
        value = int(word) if word.isdigit() else -1
        return value if self.least <= value <= self.most else None

    def __str__(self) -> str:
        words = f", {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.name} ({self.least} to {self.most}{words})"


MONTHS = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of the week", 0, 6, DAYS),
)


def _schedule(text: str) -> str:
    parts = text.split(" ")
    if len(parts) != len(FIELDS):
        refuse(
            "not a cron schedule",
            'give five fields, such as "15 2 * * *" for 02:15 UTC each day',
        )
    for field, part in zip(FIELDS, parts, strict=True):
        if not field.takes(part):
            refuse(
                f"not a cron schedule: {part!r} is not a valid {field.name}",
                f"give {field}, a range such as {field.least}-{field.least + 1}, a "
                "list, or *",
            )
    return text


Schedule = Annotated[str, AfterValidator(_schedule)]
"""Five fields of cron, in UTC."""
