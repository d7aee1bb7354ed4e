"""Inputs of rules beside the resources: environment, production, settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.settings import Settings, SettingsError
from slipway import stack_files, stack_settings
from slipway.policy import check
from slipway.rendering import placeholders
from slipway.rendering.render import images_in_place
from stacks import layers
from stacks.values import is_production
from toolchain import paths

PRODUCTION = "slipway:production"
"""Key of the configuration by which a program of anybody says so."""


@dataclass(frozen=True)
class StackContext:
    """The stack that the engine works on."""

    environment: str
    """Selects parameters and waivers."""
    production: bool
    stack: Mapping[str, Any] | None = None
    """The stack itself as rules see it; None where it is none of a layer."""

    @property
    def settings(self) -> Mapping[str, Any] | None:
        """The settings of a stack of a layer."""
        return self.stack and self.stack["settings"]


def of(project: str, stack: str, config: Mapping[str, str]) -> StackContext:
    """What is known of a stack by its name, its configuration and its file.

    A stack of a layer, such as models.prod, is what its settings say. The environment
    of any other one is what follows the last dot of its name, or the whole name.
    """
    settings = _settings(project, stack)
    if settings is not None:
        _, environment = layers.split(stack)
        production = check.in_production(settings)
        content = check.stack_object(stack, settings, production=production)
        return StackContext(environment, production, content)
    given = config.get(PRODUCTION, False)
    return StackContext(stack.rpartition(".")[2], is_production(given))


def _settings(project: str, stack: str) -> Settings | None:
    """Return None without a stack file, or with settings that its program rejects."""
    if stack not in stack_files.known() or project != stack_files.project_name():
        return None
    places = dict.fromkeys((paths.ROOT, paths.PROJECT))
    references = {k: v for p in places for k, v in placeholders.images(p).items()}
    try:
        with images_in_place(references):
            return stack_settings.load(stack, layers.of(stack).settings)
    except SettingsError:
        return None
