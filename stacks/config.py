"""From a stack to its layer's settings: the one way, for programs and for commands.

A program has its configuration from the engine (`settings`); a command that runs
without the engine has it from the stack file (`of_stack`). The steps from there to
settings are the same.

The engine hands a program each key as one string: mappings and lists as JSON, numbers
and booleans as they are written (`slipway:replicas: 2` arrives as "2"). Mappings and
lists are decoded here, with the types they have in the file; a single number or boolean
stays the string that the engine gave, and the settings model gives it its type.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pulumi
from pulumi.runtime import config

from components import images
from components.setting_secrets import Encrypted, has_encrypted
from components.settings import Problem, Settings, SettingsError, parse
from stacks import encryption, files, groups, image_lock, layers, others
from stacks.others import OURS
from stacks.values import decode, encoded, encrypted

PREFIX = f"{OURS}:"

Model = TypeVar("Model", bound=Settings)


def read() -> dict[str, Any]:
    """Every `slipway:<field>` of the running program, by field.

    All keys are returned, known or not, so that the settings model refuses the ones it
    does not know.
    """
    # Config.get_object would need each key's name. `pulumi up` has the keys in the
    # environment, the Automation API and a rendering have them in this variable.
    return _ours({**config.get_config_env(), **config.CONFIG.get()})


def _ours(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key.removeprefix(PREFIX): decode(value)
        for key, value in sorted(values.items())
        if key.startswith(PREFIX)
    }


def settings(model: type[Model]) -> Model:
    """The settings of the running program; SettingsError with every problem at once."""
    values = {**config.get_config_env(), **config.CONFIG.get()}
    secret = [k for k in values if config.is_config_secret(k)]
    secret += config.get_config_secret_keys_env()
    images.use(image_lock.of(_ours(values), files.ROOT))
    about = values, secret, files.ROOT
    return groups.parsed(model, lambda: _typed(pulumi.get_stack(), model, *about))


def of_stack(stack: str, model: type[Model], root: Path | None = None) -> Model:
    """The settings in a stack's file, as its program would get them.

    StackFileError if there is no such file, SettingsError with every problem in it.
    `root`: another checkout than this program's own.
    """
    layer = layers.of(stack)
    if model is not layer.settings:
        right = [one.name for one in layers.TABLE if one.settings is model]
        problem = Problem(
            path="STACK",
            value=stack,
            reason=f"it is a stack of the layer {layer.name}",
            fix=f"give one of the layer {' or '.join(right)}",
        )
        raise SettingsError("the command line", [problem])
    values = program_config(stack, root)
    return _typed(stack, model, values, encrypted(values), root or files.ROOT)


def of_other_stack(stack: str, model: type[Model], asked_by: str) -> Model:
    """Another stack's settings that the running program's rest on.

    `asked_by`: the running stack, which names it as `cluster.stack`.
    """
    if not files.path(stack).is_file():
        layer, _ = layers.split(stack)
        made = [name for name in files.known() if name.startswith(f"{layer}.")]
        problem = Problem(
            path="cluster.stack",
            value=stack,
            reason=f"its settings file {files.name(stack)} does not exist",
            fix=f"give a stack that has one: {', '.join(made) or 'none has'}",
        )
        raise SettingsError(files.name(asked_by), [problem])
    return of_stack(stack, model)


def unchecked(stack: str) -> dict[str, Any]:
    """What the stack's file says, by field, for who has to work with wrong settings.

    Values that are encrypted are marked; SettingsError if keys stand twice.
    """
    content = files.load(stack)
    return _ours(encoded(content.get("config") or {}, files.name(stack)))


def program_config(stack: str, root: Path | None = None) -> dict[str, str]:
    """A stack file's configuration as the engine hands it to the program.

    Text by full key; encrypted values stay as they are in the file (`{secure: ...}`).
    SettingsError for what the engine would take and our program would not see.
    """
    content = files.load(stack, root)
    if problems := list(files.unread(content, root)):
        raise SettingsError(files.name(stack), problems)
    return encoded(content.get("config") or {}, files.name(stack))


def _typed(
    stack: str,
    model: type[Model],
    values: Mapping[str, str],
    secret: Collection[str],
    root: Path,
) -> Model:
    """The one way from configuration to settings, whoever has read the former."""
    given = {key: decode(value) for key, value in sorted(values.items())}
    ours = _ours(values)
    marked = {key.removeprefix(PREFIX) for key in secret}
    problems = list(encryption.problems(model, ours, marked))
    problems += image_lock.problems(ours, root)
    reported = {problem.path for problem in problems}
    try:
        with images.using(image_lock.of(ours, root)):
            found = parse(model, ours, files.name(stack))
    except SettingsError as error:
        problems += [
            problem
            for problem in error.problems
            if not (problem.path in reported and isinstance(problem.value, Encrypted))
        ]
    problems += others.problems(layers.of(stack), given)
    if problems:
        decrypted = {key for key in marked if not has_encrypted(ours.get(key))}
        hidden = [encryption.hidden(problem, decrypted) for problem in problems]
        raise SettingsError(files.name(stack), hidden)
    return found
