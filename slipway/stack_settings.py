"""A stack's settings as its program gets them, without running the program."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from components import settings
from slipway import stack_files
from stacks.config import PREFIX

Model = TypeVar("Model", bound=BaseModel)


def load(stack: str, model: type[Model], root: Path | None = None) -> Model:
    """The settings in the stack's file; SettingsError with every problem at once."""
    config = stack_files.load(stack, root).get("config") or {}
    raw = {
        key.removeprefix(PREFIX): value
        for key, value in config.items()
        if key.startswith(PREFIX)
    }
    source = f"{stack_files.CONFIG_FOLDER}/Pulumi.{stack}.yaml"
    return settings.parse(model, raw, source)
