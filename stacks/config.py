"""Reads the settings of the running program: what its stack file says under `slipway:`.

The engine hands a program each key as one string: mappings and lists as JSON, numbers
and booleans as they are written (`slipway:replicas: 2` arrives as "2"). Mappings and
lists are decoded here, with the types they have in the file; a single number or boolean
stays the string that the engine gave, and the settings model gives it its type.
"""

from __future__ import annotations

import json
from typing import Any

from pulumi.runtime import config

PREFIX = "slipway:"


def read() -> dict[str, Any]:
    """Every `slipway:<field>` of the running program, by field.

    All keys are returned, known or not, so that the settings model refuses the ones it
    does not know.
    """
    # Config.get_object would need each key's name; a key nobody asks for is a mistake
    # that would then pass in silence. The language host of `pulumi up` hands the keys
    # over in the environment, the Automation API and the test monitor in this variable.
    raw = {**config.get_config_env(), **config.CONFIG.get()}
    return {
        key.removeprefix(PREFIX): decode(value)
        for key, value in sorted(raw.items())
        if key.startswith(PREFIX)
    }


def encode(value: Any) -> str:
    """A value of a stack file as the engine hands it to the program."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"))
    return "" if value is None else str(value)


def decode(value: Any) -> Any:
    """Turns JSON mappings and lists into Python's; leaves all else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value
