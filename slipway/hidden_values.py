"""Values of resources that look like secrets: compared but not shown.

A ConfigMap's key or a variable in the cluster may hold a password that nobody marked as
a secret. The name of such a value is known only in the whole resource.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from components.security import secret_shapes
from slipway.redaction import REDACTED


@dataclass(frozen=True)
class Hidden:
    """A text that compares by its content and shows none of it."""

    text: str = field(repr=False)

    def __str__(self) -> str:
        return REDACTED


def hidden(value: Any, name: str = "") -> Any:
    """The value with each text Hidden that is a secret by its form or its name.

    The name is the key, or of an item `{"name": ..., "value": ...}` that of the item.
    """
    if isinstance(value, dict):
        own = str(value.get("name", "value"))
        names = {key: own if key == "value" else str(key) for key in value}
        return {key: hidden(one, names[key]) for key, one in value.items()}
    if isinstance(value, list):
        return [hidden(one, name) for one in value]
    if isinstance(value, str) and secret_shapes.found(name, value):
        return Hidden(value)
    return value


def shown(value: Any) -> Any:
    """Return the value with REDACTED in place of each Hidden text."""
    if isinstance(value, dict):
        return {key: shown(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shown(one) for one in value]
    return REDACTED if isinstance(value, Hidden) else value
