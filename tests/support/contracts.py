"""What contracts/*.yaml say of the lines of files, for tests of both sides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from toolchain import paths

FOLDER = paths.ROOT / "contracts"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def contract(name: str) -> dict[str, Any]:
    """The content of a contract."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return found


def misfits(record: Mapping[str, Any], fields: Mapping[str, Any]) -> list[str]:
    """What of a record the contract's fields do not allow.

    `only` and `optional` are read as contracts/prediction_record.yaml means them.
    """
    kind = "predictions" if record.get("status", 200) == 200 else "errors"
    found = [f"{name} is not a field" for name in record if name not in fields]
    for name, field in fields.items():
        is_meant = field.get("only", kind) == kind
        if name not in record:
            if is_meant and not field.get("optional"):
                found.append(f"{name} is missing")
        elif not is_meant:
            found.append(f"{name} is for {field['only']} only")
        elif not _fits(record[name], field["kind"]):
            found.append(f"{name}: {record[name]!r} is not {field['kind']}")
    return found


def _fits(value: Any, kind: str) -> bool:
    if kind == "names":
        return isinstance(value, dict) and all(_is_value(it) for it in value.values())
    if kind == "time":
        return isinstance(value, str) and bool(_TIME.fullmatch(value))
    if kind == "value":
        return _is_value(value)
    if isinstance(value, bool):
        return False
    types: Any = {"text": str, "integer": int, "number": (int, float)}[kind]
    return isinstance(value, types)


def _is_value(value: Any) -> bool:
    if isinstance(value, list):
        return all(
            it is None or isinstance(it, bool | int | float | str) for it in value
        )
    return value is None or isinstance(value, bool | int | float | str)
