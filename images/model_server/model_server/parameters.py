"""Parameters of requests: which the server knows, and what becomes of all others.

A parameter that could change the answer is honoured or refused, never passed over; one
whose value asks for nothing (null, or what its extension has as default) is taken.
https://github.com/triton-inference-server/server/tree/main/docs/protocol has the
extensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model_server.errors import RequestError, invalid
from model_server.wording import shown

REQUEST = "request"
INPUT = "input"
OUTPUT = "output"
MICROSECONDS = 1e-6
_MOST = 2**64 - 1


@dataclass(frozen=True, slots=True)
class _Kind:
    """Types of a parameter's value: Python's types, and a schema for documents."""

    words: str
    type: type
    schema: dict[str, Any]

    def holds(self, value: object) -> bool:
        if type(value) is not self.type:
            return False
        if isinstance(value, str):
            return value in self.schema["enum"]
        return isinstance(value, bool) or (
            isinstance(value, int) and 0 <= value <= _MOST
        )


_FLAG = _Kind("must be a boolean", bool, {"type": "boolean"})
_COUNT = _Kind(
    "must be a whole number from 0",
    int,
    {"type": "integer", "minimum": 0, "maximum": _MOST},
)
_CONTENT = _Kind(
    "asks for a decoding that is not done here; np, pd and str ask for none",
    str,
    {"enum": ["np", "pd", "str"]},
)

_KNOWN: dict[str, dict[str, _Kind]] = {
    REQUEST: {
        "binary_data_output": _FLAG,
        "content_type": _CONTENT,
        "timeout": _COUNT,
    },
    INPUT: {"binary_data_size": _COUNT, "content_type": _CONTENT},
    OUTPUT: {"binary_data": _FLAG, "content_type": _CONTENT},
}
"""Supported parameters. MLServer's clients send content_type, which names how its own
server decodes a tensor: only values that match our own decoding."""

_SHARED = "system_shared_memory and cuda_shared_memory"
_FOREIGN: dict[str, tuple[str, tuple[object, ...]]] = {
    "classification": ("classification", (0,)),
    "priority": ("schedule_policy", (0,)),
    "sequence_end": ("sequence", (False,)),
    "sequence_id": ("sequence", (0, "")),
    "sequence_start": ("sequence", (False,)),
    "shared_memory_byte_size": (_SHARED, ()),
    "shared_memory_offset": (_SHARED, ()),
    "shared_memory_region": (_SHARED, ()),
}
"""The extension of a parameter that is not honoured, and values that ask for nothing.

Any other name belongs to the extension `parameters`, which hands names of the user's
own to the model.
"""


def read(path: str, level: str, parameters: object) -> dict[str, object]:
    """Return those of an object's parameters that ask for something.

    `level` is their place: REQUEST, INPUT or OUTPUT. Raises `RequestError`, which names
    the parameter, where one asks for what is not done here.
    """
    if parameters is None:
        return {}
    if type(parameters) is not dict:
        raise invalid(path, "must be an object")
    found: dict[str, object] = {}
    known = _KNOWN[level]
    for name, value in parameters.items():
        if value is None:
            continue
        kind = known.get(name)
        if kind is None:
            _check_foreign(path, level, name, value)
        elif kind.holds(value):
            found[name] = value
        else:
            raise invalid(f"{path}.{name}", f"{shown(value)} {kind.words}")
    return found


def seconds(parameters: dict[str, object]) -> float | None:
    """Return the `timeout` of a request's parameters, which is in microseconds.

    None: there is none; so says 0, which is the extension's default.
    """
    value = parameters.get("timeout")
    return value * MICROSECONDS if isinstance(value, int) and value else None


def schema(level: str) -> dict[str, Any]:
    """Return the JSON Schema of what `read` takes from JSON."""
    properties: dict[str, Any] = {
        name: {"anyOf": [kind.schema, {"type": "null"}]}
        for name, kind in _KNOWN[level].items()
    }
    for name, (_, nothing) in _FOREIGN.items():
        properties[name] = {"enum": [*nothing, None]}
    return {
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": {"type": "null"},
    }


def _check_foreign(path: str, level: str, name: str, value: object) -> None:
    """Raise unless the value of a parameter that is not known asks for nothing."""
    extension, nothing = _FOREIGN.get(name, ("parameters", ()))
    if any(type(value) is type(it) and value == it for it in nothing):
        return
    raise _unknown(path, level, name, extension)


def _unknown(path: str, level: str, name: str, extension: str) -> RequestError:
    shown_name = shown(name)[1:-1]
    article = "an" if level[0] in "io" else "a"
    return invalid(
        f"{path}.{shown_name}",
        f"is of the extension {extension}, which this server does not have (GET /v2 "
        f"names those it has); {article} {level} may have "
        f"{', '.join(_KNOWN[level])}",
    )
