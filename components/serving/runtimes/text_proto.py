"""Messages in protobuf's text format, which TensorFlow Serving and Triton read.

Tests parse the result with the servers' own definitions. Mappings are messages, lists
repeat a field, `Name` is a value of an enumeration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class Name(str):
    """A value of an enumeration: written without quotes."""

    __slots__ = ()


def text(message: Mapping[str, Any]) -> str:
    """Return the message as text, one field per line."""
    return "".join(f"{line}\n" for line in _lines(message, ""))


def _lines(message: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in message.items():
        repeated = isinstance(value, Sequence) and not isinstance(value, str)
        for one in value if repeated else [value]:
            if isinstance(one, Mapping):
                yield f"{indent}{name} {{"
                yield from _lines(one, f"{indent}  ")
                yield f"{indent}}}"
            else:
                yield f"{indent}{name}: {_scalar(one)}"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Name) or not isinstance(value, str):
        return str(value)
    # Names and paths from checked settings: JSON's escapes are also protobuf's.
    return json.dumps(value)
