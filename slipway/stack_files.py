"""Stack files: `stacks/config/Pulumi.<layer>.<environment>.yaml` of the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lab import paths
from stacks import layers
from stacks.config import PREFIX, encode

PROJECT_FILE = "Pulumi.yaml"
CONFIG_FOLDER = "stacks/config"
SECRET_PLACEHOLDER = "[secret]"  # noqa: S105
"""Stands for a value that only the engine can decrypt."""


class StackFileError(ValueError):
    """A stack file is missing or is not what the engine would read."""


def path(stack: str, root: Path | None = None) -> Path:
    """Where the stack's file lies, whether it exists or not."""
    return (root or paths.ROOT) / CONFIG_FOLDER / f"Pulumi.{stack}.yaml"


def name(stack: str) -> str:
    """The file's path in the checkout, as messages have it."""
    return f"{CONFIG_FOLDER}/Pulumi.{stack}.yaml"


def known(root: Path | None = None) -> list[str]:
    """Names of all stacks that have a file, in the order of their layers."""
    files = ((root or paths.ROOT) / CONFIG_FOLDER).glob("Pulumi.*.yaml")
    names = [file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in files]
    order = {layer: position for position, layer in enumerate(layers.LAYERS)}
    names = [name for name in names if name.split(".")[0] in order]
    return sorted(names, key=lambda name: (order[name.split(".")[0]], name))


def project_name(root: Path | None = None) -> str:
    """The Pulumi project's name."""
    content = yaml.safe_load(((root or paths.ROOT) / PROJECT_FILE).read_text())
    return str(content["name"])


def load(stack: str, root: Path | None = None) -> dict[str, Any]:
    """Content of the stack's file; StackFileError with what to do if there is none."""
    layers.split(stack)
    file = path(stack, root)
    if not file.is_file():
        raise StackFileError(
            f"there is no stack {stack}: {file} does not exist; known stacks: "
            f"{', '.join(known(root)) or 'none'}. Copy one of their files to it"
        )
    try:
        content = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2027-02-30
        raise StackFileError(f"{file} is not YAML: {error}") from None
    if not isinstance(content, dict | None) or not isinstance(
        (content or {}).get("config") or {}, dict
    ):
        raise StackFileError(f"{file}: the top level and `config:` are mappings")
    return content or {}


def program_config(stack: str, root: Path | None = None) -> dict[str, str]:
    """The configuration as the engine hands it to the program: one string per key.

    Encrypted values are replaced by a placeholder: this is for runs without the engine.
    """
    return encoded((load(stack, root).get("config")) or {})


def encoded(config: dict[str, Any]) -> dict[str, str]:
    """Configuration by key as strings; keys without a namespace are `slipway:` ones."""
    return {
        key if ":" in key else PREFIX + key: encode(_without_secrets(value))
        for key, value in config.items()
    }


def encrypted(config: dict[str, str]) -> list[str]:
    """Keys with an encrypted value in them, of configuration as `encoded` gives it."""
    return [key for key, value in config.items() if SECRET_PLACEHOLDER in value]


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"secure"}:
            return SECRET_PLACEHOLDER
        return {key: _without_secrets(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return value
