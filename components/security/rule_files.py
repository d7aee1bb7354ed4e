"""The files of rules put together, or all that is wrong with their form.

Rules may come from a change that is being reviewed, so a file may be anything: no YAML,
no text, a list, or a link to nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from components.settings import ABSENT, Problem, SettingsError
from components.yaml_text import read_file

_SECTIONS: dict[str, Any] = {
    "rules": {},
    "variables": {},
    "parameters": {},
    "waivers": [],
}
"""Sections of a file, each with its value if the file does not have it."""
_KINDS: dict[type, str] = {dict: "mapping", list: "list"}


def merged(files: Iterable[Path], where: str) -> dict[str, Any]:
    """The content of all files, later ones before earlier ones.

    Rules have their names as `id`. SettingsError, with `where` in it, has all files
    that cannot be read and all that is not of the form of a file of rules.
    """
    whole: dict[str, Any] = {name: type(none)() for name, none in _SECTIONS.items()}
    problems: list[Problem] = []
    for file in files:
        try:
            content = read_file(file, file.name)
        except (OSError, ValueError) as error:  # ValueError: of YAML, or no text
            problems.append(_unread(file, error))
            continue
        found = list(_shapes({} if content is None else content, file.name))
        problems += found
        if not found and content:
            _add(whole, content)
    if problems:
        raise SettingsError(where, problems)
    return whole


def _unread(file: Path, error: Exception) -> Problem:
    reason = f"it is not UTF-8: {error}"
    if isinstance(error, OSError):
        reason = f"it cannot be read: {error.strerror}"
    elif not isinstance(error, UnicodeError):
        reason = str(error).removeprefix(f"{file.name} ").removeprefix(f"{file.name}: ")
    return Problem(file.name, ABSENT, reason, "make it a file of YAML, or remove it")


def _shapes(content: Any, file: str) -> Iterator[Problem]:
    """Report sections that are not the mapping or list they must be."""
    if not isinstance(content, dict):
        yield _not_a(dict, file, content)
        return
    for name, none in _SECTIONS.items():
        section = content.get(name)
        if section is not None and not isinstance(section, type(none)):
            yield _not_a(type(none), f"{file} {name}", section)
        elif name == "rules":
            yield from _rules(section or {}, f"{file} {name}")
        elif name == "parameters":
            for key, values in (section or {}).items():
                if not isinstance(values, dict | None):
                    yield _not_a(dict, f"{file} {name}.{key}", values)


def _rules(rules: dict[str, Any], path: str) -> Iterator[Problem]:
    for name, rule in rules.items():
        if not isinstance(rule, dict):
            yield _not_a(dict, f"{path}.{name}", rule)
        elif "id" in rule:
            yield Problem(
                path=f"{path}.{name}.id",
                value=rule["id"],
                reason="a rule has its id as its key",
                fix="remove it, and rename the key if it is another one",
            )


def _not_a(kind: type, path: str, value: Any) -> Problem:
    wanted = _KINDS[kind]
    fix = f"write a {wanted} (docs/how-to/rules.md), or remove it"
    return Problem(path, value, f"it is not a {wanted}", fix)


def _add(whole: dict[str, Any], content: dict[str, Any]) -> None:
    """Add a file's sections."""
    found = {key: value for key, value in content.items() if key not in _SECTIONS}
    whole |= found  # keys that are none are refused with all else
    for name, rule in (content.get("rules") or {}).items():
        whole["rules"][name] = {"id": name, **rule}
    whole["variables"] |= content.get("variables") or {}
    for environment, values in (content.get("parameters") or {}).items():
        whole["parameters"].setdefault(environment, {}).update(values or {})
    whole["waivers"] += content.get("waivers") or []
