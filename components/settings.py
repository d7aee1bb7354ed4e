"""Turns raw configuration into frozen typed settings, or says all that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, what stands there, why, and what to do."""

    path: str
    value: Any
    reason: str
    fix: str


class SettingsError(Exception):
    """All problems of one configuration, found before anything was touched."""

    def __init__(self, where: str, problems: list[Problem]) -> None:
        self.where = where
        self.problems = problems
        lines = [f"{p.path}: {p.value!r}: {p.reason}; {p.fix}" for p in problems]
        super().__init__("\n".join([f"{where}: {len(problems)} problems", *lines]))


def parse(model: type[Model], raw: dict[str, Any], where: str) -> Model:
    """The settings of `raw`; SettingsError with every problem at once."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = [
            Problem(
                path=".".join(str(part) for part in e["loc"]),
                value=e["input"],
                reason=e["msg"],
                fix="see docs/reference",
            )
            for e in error.errors()
        ]
        raise SettingsError(where, problems) from None
