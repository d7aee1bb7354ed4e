"""Values of a configuration, from a stack file's to what a program reads.

The engine hands a program each key as one string: mappings and lists as JSON, numbers
and booleans as they are written (`slipway:replicas: 2` arrives as "2").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from components.setting_secrets import Encrypted, has_encrypted
from components.settings import Problem, SettingsError
from components.yaml_text import DEEPEST, handed
from stacks.others import OURS

SECURE = "secure"
"""The only key of a mapping that stands for an encrypted value."""


def is_production(given: Any) -> bool:
    """Return the setting `production`; invalid settings count as production."""
    try:
        return TypeAdapter(bool).validate_python(given)
    except ValidationError:
        return True


def encoded(
    given: Mapping[str, Any], where: str = "the configuration"
) -> dict[str, str]:
    """Configuration by key as text; keys without a namespace are `slipway:` ones."""
    found: dict[str, str] = {}
    problems = []
    for key, value in given.items():
        full = _full_key(str(key))
        if full is None:
            why = "not a valid key", "write name, or namespace:name with text for both"
            problems.append(Problem(str(key), value, *why))
        elif full in found:
            why = f"{full} is given twice, in two spellings", "keep one of them"
            problems.append(Problem(str(key), value, *why))
        else:
            try:
                found[full] = encode(value)
            except (TypeError, ValueError, RecursionError):
                why = "JSON has no such value", "give text, numbers, lists, mappings"
                problems.append(Problem(full, type(value).__name__, *why))
    if problems:
        raise SettingsError(where, problems)
    return found


def encrypted(values: Mapping[str, str]) -> list[str]:
    """Keys with an encrypted value in them, of configuration as `encoded` gives it."""
    return [key for key, value in values.items() if has_encrypted(decode(value))]


def _full_key(key: str) -> str | None:
    """`namespace:name`, as the engine reads a key; None if it is none.

    Pulumi's config.ParseKey (sdk/go/common/resource/config/key.go).
    """
    parts = key.split(":")
    if len(parts) == 1:
        parts.insert(0, OURS)
    if len(parts) == 3 and parts[1] == "config":
        del parts[1]
    return ":".join(parts) if len(parts) == 2 and all(parts) else None


def encode(value: Any) -> str:
    """A value of a stack file as the engine hands it to the program."""
    return handed(value)


def decode(value: Any) -> Any:
    """Turns JSON mappings and lists into Python's; leaves all else as it is.

    Text with more than DEEPEST levels is left, too: settings refuse it as a text.
    What is encrypted yet (`{secure: ...}`, where no engine has decrypted it) is marked.
    """
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return _marked(json.loads(value), DEEPEST)
        except (ValueError, RecursionError):  # ValueError: numbers of many digits, too
            return value
    return value


def _marked(value: Any, levels: int) -> Any:
    if not isinstance(value, dict | list):
        return value
    if levels == 0:
        raise RecursionError
    if isinstance(value, list):
        return [_marked(part, levels - 1) for part in value]
    if list(value) == [SECURE] and isinstance(value[SECURE], str):
        return Encrypted()
    return {key: _marked(part, levels - 1) for key, part in value.items()}
