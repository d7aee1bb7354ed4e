"""Differences between two values, by path."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SHOWN_CHARACTERS = 80
"""A longer text is described by its length."""


@dataclass(frozen=True)
class Difference:
    """One place where two values differ; None: there is nothing on that side."""

    path: str
    """Keys joined by dots; items of a list by name or position: `env[PORT].value`."""
    before: Any
    after: Any


def differences(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """The deepest places where they differ, in the order of their keys."""
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_keys(before, after, path, "{}.{}" if path else "{}{}")
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(before, after, path)
    elif before != after or type(before) is not type(after):  # 1 == True
        yield Difference(path, before, after)


def _of_keys(
    before: dict[str, Any], after: dict[str, Any], path: str, form: str
) -> Iterator[Difference]:
    for key in sorted({*before, *after}):
        yield from differences(before.get(key), after.get(key), form.format(path, key))


def _of_lists(before: list[Any], after: list[Any], path: str) -> Iterator[Difference]:
    old_names, new_names = _by_name(before), _by_name(after)
    if old_names is not None and new_names is not None:
        yield from _of_keys(old_names, new_names, path, "{}[{}]")
        if list(old_names) != list(new_names) and set(old_names) == set(new_names):
            yield Difference(path, list(old_names), list(new_names))
    elif len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{path}[{index}]")
    else:
        yield Difference(path, before, after)


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    """The items by their names, where each has one of its own."""
    if not all(isinstance(item, dict) and "name" in item for item in items):
        return None
    found = {str(item["name"]): item for item in items}
    return found if len(found) == len(items) else None


def texts(before: Any, after: Any) -> tuple[str, str]:
    """Both values in a few words; of texts of several lines, how many differ."""
    if not (_has_lines(before) and _has_lines(after)):
        return _text(before), _text(after)
    old, new = Counter(before.splitlines()), Counter(after.splitlines())
    gone, added = (old - new).total(), (new - old).total()
    return f"{old.total()} lines", f"{new.total()} lines (+{added} -{gone})"


def _has_lines(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value.strip("\n")


def _text(value: Any) -> str:
    """A value in a few words: short ones as they are, others by their size."""
    if value is None:
        return "none"
    plain = isinstance(value, str)
    shown = value if plain else json.dumps(value, ensure_ascii=False)
    if len(shown) <= SHOWN_CHARACTERS and shown.isprintable():
        return shown
    if plain:
        return f"a text of {len(value)} characters"
    return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
