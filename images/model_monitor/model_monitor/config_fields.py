"""Reading one JSON object: each member typed and bounded, every problem collected."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from typing import Any

REQUIRED: Any = object()
"""Default of a member that must be given."""


class WrongError(Exception):
    """A member's value is wrong; the text is the reason and the fix."""


class Fields:
    """The members of one object of the configuration file.

    A wrong member adds one line (path, value, reason, fix) to `problems` and reads as
    its default, so that one pass finds everything. `end` reports unknown members.
    """

    def __init__(self, path: str, raw: object, problems: list[str]) -> None:
        self.path, self.problems = path, problems
        self._known: list[str] = []
        if isinstance(raw, dict):
            self._raw: dict[str, Any] = raw
        else:
            self._raw = {}
            self._wrong(path or "the file", raw, "is not an object", "write { ... }")

    def has(self, name: str) -> bool:
        return name in self._raw

    def text(self, name: str, default: Any = REQUIRED) -> str:
        return str(self._member(name, default, _text))

    def choice(self, name: str, choices: Sequence[str], default: Any = REQUIRED) -> str:
        def parse(value: object) -> str:
            if value not in choices:
                known = ", ".join(choices)
                raise WrongError(f"is not one of {known}; take one of them")
            return str(value)

        return str(self._member(name, default, parse, choices[0]))

    def texts(self, name: str, default: Any = ()) -> tuple[str, ...]:
        def parse(value: object) -> tuple[str, ...]:
            if not isinstance(value, list):
                raise WrongError('is not a list of texts; write ["...", "..."]')
            return tuple(_text(item) for item in value)

        return tuple(self._member(name, default, parse, ()))

    def number(
        self,
        name: str,
        default: Any = REQUIRED,
        least: float = -math.inf,
        most: float = math.inf,
    ) -> float:
        def parse(value: object) -> float:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise WrongError("is not a number; give one")
            return _within(value, least, most)

        return float(self._member(name, default, parse, 0.0))

    def whole(
        self, name: str, default: Any = REQUIRED, least: int = 0, most: int = 2**31
    ) -> int:
        def parse(value: object) -> int:
            if isinstance(value, bool) or not isinstance(value, int):
                raise WrongError("is not a whole number; give one")
            return int(_within(value, least, most))

        return int(self._member(name, default, parse, 0))

    def date(self, name: str) -> dt.date | None:
        """Return a day (`2027-03-31`), or None where it is not given."""

        def parse(value: object) -> dt.date:
            try:
                return dt.date.fromisoformat(_text(value))
            except ValueError:
                raise WrongError(
                    "is not a day; write it as year-month-day, 2027-03-31"
                ) from None

        found = self._member(name, None, parse)
        return found if isinstance(found, dt.date) else None

    def member(
        self, name: str, default: Any, parse: Callable[[object], Any], spare: Any = None
    ) -> Any:
        """Return a member by `parse`, which raises WrongError("reason; fix")."""
        return self._member(name, default, parse, spare)

    def nested(self, name: str) -> Fields:
        """Return a nested object; one that is not given is empty."""
        self._known.append(name)
        return Fields(self._at(name), self._raw.get(name, {}), self.problems)

    def objects(self, name: str) -> list[Fields]:
        self._known.append(name)
        raw = self._raw.get(name, [])
        if not isinstance(raw, list):
            self._wrong(self._at(name), raw, "is not a list", "write [{ ... }]")
            return []
        return [
            Fields(f"{self._at(name)}[{number}]", item, self.problems)
            for number, item in enumerate(raw)
        ]

    def refuse(self, name: str, reason: str, fix: str) -> None:
        """Report a member that is wrong beside others."""
        self._wrong(self._at(name), self._raw.get(name), reason, fix)

    def end(self) -> None:
        """Report members that nothing reads."""
        for name in self._raw:
            if name not in self._known:
                self._wrong(
                    self._at(name),
                    self._raw[name],
                    "no such setting",
                    f"known here are {', '.join(sorted(self._known))}",
                )

    def _member(
        self, name: str, default: Any, parse: Callable[[Any], Any], spare: Any = ""
    ) -> Any:
        self._known.append(name)
        if name not in self._raw:
            if default is not REQUIRED:
                return default
            self.problems.append(f"{self._at(name)}: is missing; give it")
            return spare
        value = self._raw[name]
        try:
            return parse(value)
        except WrongError as error:
            self.problems.append(f"{self._at(name)}={value!r}: {error}")
            return spare if default is REQUIRED else default

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def _wrong(self, path: str, value: object, reason: str, fix: str) -> None:
        shown = repr(value)
        if len(shown) > 80:
            shown = f"{shown[:77]}..."
        self.problems.append(f"{path}={shown}: {reason}; {fix}")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise WrongError("is not a text; write it in quotes")
    return value


def _within(number: float, least: float, most: float) -> float:
    if not least <= number <= most:
        if math.isinf(most):
            raise WrongError(f"must be at least {least:g}; raise it")
        raise WrongError(f"must lie between {least:g} and {most:g}; change it")
    return number
