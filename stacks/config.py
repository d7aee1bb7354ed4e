"""Reads the settings of the running program: what its stack file says under `slipway:`.

The engine hands a program each key as one string: mappings and lists as JSON, numbers
and booleans as they are written (`slipway:replicas: 2` arrives as "2"). Mappings and
lists are decoded here, with the types they have in the file; a single number or boolean
stays the string that the engine gave, and the settings model gives it its type.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pulumi.runtime import config

from components.settings import Problem, SettingsError

FOLDER = Path(__file__).resolve().parent / "config"
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


def require_encrypted(field: str, where: str) -> None:
    """SettingsError if the stack file has the field in plain text.

    The engine says which keys have encrypted values in them; a run without it is told
    by `slipway.render`.
    """
    key = f"{PREFIX}{field}"
    given = key in {**config.get_config_env(), **config.CONFIG.get()}
    encrypted = config.is_config_secret(key)
    if given and not encrypted and key not in config.get_config_secret_keys_env():
        problem = Problem(
            path=field,
            value="(not shown)",
            reason="the file has it in plain text, for whoever reads the repository",
            fix=f"pulumi config set --secret --path '{key}.<name>...', and replace "
            "what was readable",
        )
        raise SettingsError(where, [problem])


def of_stack(stack: str, asked_by: str) -> dict[str, Any]:
    """What another stack's file says, by field: settings that this one rests on.

    `asked_by`: the stack file that names it, for the error if there is no such stack.
    """
    file = FOLDER / f"Pulumi.{stack}.yaml"
    if not file.is_file():
        known = [f.name.removeprefix("Pulumi.") for f in FOLDER.glob("Pulumi.c*.yaml")]
        names = ", ".join(sorted(name.removesuffix(".yaml") for name in known))
        problem = Problem(
            path="cluster.stack",
            value=stack,
            reason=f"there is no stacks/config/{file.name}, which has its settings",
            fix=f"give a stack that has one: {names or 'none has'}",
        )
        raise SettingsError(asked_by, [problem])
    content = yaml.safe_load(file.read_text()) or {}
    return {
        key.removeprefix(PREFIX): value
        for key, value in (content.get("config") or {}).items()
        if key.startswith(PREFIX)
    }


def encode(value: Any) -> str:
    """A value of a stack file as the engine hands it to the program."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(_without_days(value), separators=(",", ":"))
    return "" if value is None else str(value)


def _without_days(value: Any) -> Any:
    """Days without quotes, which are text to nobody, as the engine writes them."""
    if isinstance(value, dict):
        return {_without_days(k): _without_days(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_days(item) for item in value]
    return f"{value:%Y-%m-%d %H:%M:%S} +0000 UTC" if isinstance(value, date) else value


def decode(value: Any) -> Any:
    """Turns JSON mappings and lists into Python's; leaves all else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value
