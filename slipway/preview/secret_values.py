"""Encrypted values of stack files that differ, found without decrypting any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slipway import stack_files
from slipway.preview.difference import differences
from slipway.preview.report import Secret
from stacks.values import SECURE
from toolchain.errors import OperatorError


def changed(stacks: list[str], base: Path, head: Path) -> Iterator[Secret]:
    """Settings whose encrypted value is another one, or is encrypted anew."""
    for stack in stacks:
        before, after = _encrypted(stack, base), _encrypted(stack, head)
        for found in differences(before, after):
            yield Secret(stack, found.path)


def _encrypted(stack: str, checkout: Path) -> dict[str, str]:
    try:
        content = stack_files.load(stack, checkout)
    except OperatorError:
        return {}  # no such stack, or an error that rendering has reported
    return dict(_values(content.get("config") or {}, ""))


def _values(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and set(value) == {SECURE}:
        yield path, str(value[SECURE])
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _values(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _values(inner, f"{path}[{index}]")
