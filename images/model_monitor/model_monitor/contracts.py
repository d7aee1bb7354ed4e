"""The contracts of records and labels, as this program reads them.

The files lie in /app/contracts in the image and in `contracts/` of a checkout: the
first folder of that name above this one that holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

KINDS = ("text", "integer", "number", "time", "names", "value")
"""Kinds of fields; contracts/prediction_record.yaml says what each means."""


@dataclass(frozen=True)
class Field:
    """One field of a record.

    `only` names the records that have it, "predictions" or "errors"; "" is both.
    """

    name: str
    kind: str
    only: str = ""
    is_optional: bool = False


@cache
def folder() -> Path:
    """Return the folder of the contracts; raise FileNotFoundError if there is none."""
    for above in Path(__file__).resolve().parents:
        found = above / "contracts"
        if (found / "prediction_record.yaml").is_file():
            return found
    raise FileNotFoundError(f"no folder contracts/ above {__file__}; install it there")


def fields(raw: Mapping[str, Mapping[str, Any]]) -> tuple[Field, ...]:
    """Return the fields of a contract's section; raise ValueError for unknown kinds."""
    found = tuple(
        Field(
            name,
            entry["kind"],
            only=entry.get("only", ""),
            is_optional=entry.get("optional", False),
        )
        for name, entry in raw.items()
    )
    if unknown := sorted({field.kind for field in found} - set(KINDS)):
        raise ValueError(
            f"kinds {', '.join(unknown)} of a contract are not known; "
            "this program is older than the contract"
        )
    return found


@cache
def prediction_fields() -> tuple[Field, ...]:
    return fields(_read("prediction_record.yaml")["fields"])


@cache
def protected_fields() -> tuple[Field, ...]:
    return fields(_read("prediction_record.yaml")["protected_fields"])


@cache
def label_fields() -> tuple[Field, ...]:
    return fields(_read("label.yaml")["fields"])


def _read(name: str) -> dict[str, Any]:
    content = yaml.safe_load((folder() / name).read_text())
    assert isinstance(content, dict)
    return content
