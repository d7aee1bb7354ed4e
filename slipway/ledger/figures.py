"""Figures of a model card: the model's own metrics, and those of a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.errors import WrongInputError

KEYS = ("type", "value", "slice", "lower", "upper")


@dataclass(frozen=True)
class Figure:
    """One metric of one part of the data, as texts; `lower` and `upper`: interval."""

    type: str
    value: str
    slice: str = ""
    lower: str = ""
    upper: str = ""


def of_manifest(metrics: object) -> list[Figure]:
    """Metrics of model.yaml: numbers by name, or by period and name."""
    if not isinstance(metrics, Mapping):
        return []
    found = []
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found += [
                Figure(str(key), str(it), str(name))
                for key, it in value.items()
                if _is_number(it)
            ]
        elif _is_number(value):
            found.append(Figure(str(name), str(value)))
    return found


def of_derivation(derived: object) -> list[Figure]:
    """Return a gate's measurements of a model beside its original."""
    checks = derived.get("checks") if isinstance(derived, Mapping) else None
    return [
        Figure(
            f"change of {it.get('measure')}",
            str(it["value"]),
            str(it.get("part", "")),
            str(it.get("lower", "")),
            str(it.get("upper", "")),
        )
        for it in (checks if isinstance(checks, list) else [])
        if isinstance(it, Mapping) and _is_number(it.get("value"))
    ]


def of_file(path: Path) -> list[Figure]:
    """A JSON list of objects with `type`, `value` and perhaps slice, lower, upper."""
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WrongInputError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(raw, list):
        raise WrongInputError(f"{path}: must be a list of figures")
    if problems := list(_problems(raw)):
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise WrongInputError(f"{path}: {len(problems)} problems:{lines}")
    return [Figure(**{key: str(value) for key, value in it.items()}) for it in raw]


def _problems(raw: list[Any]) -> Iterator[str]:
    for number, it in enumerate(raw):
        if not isinstance(it, dict) or not {"type", "value"} <= set(it) <= set(KEYS):
            rest = f"type, value and of {KEYS[2:]}"
            yield f"{number}: {it!r} is not an object with {rest}"
            continue
        for key in ("value", "lower", "upper"):
            if not _is_number(it.get(key, 0)):
                yield f"{number}.{key}: {it[key]!r} is not a number"
        for key in ("type", "slice"):
            if not isinstance(it.get(key, ""), str):
                yield f"{number}.{key}: {it[key]!r} is not text"
        if ("lower" in it) != ("upper" in it):
            yield f"{number}: an interval has both, lower and upper"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
