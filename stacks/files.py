"""Stack files: `stacks/config/Pulumi.<layer>.<environment>.yaml` of a checkout.

Only what is text: where the files lie and what stands in them. `stacks.config` makes
settings of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components import yaml_text
from components.setting_problems import nearest
from components.settings import Problem
from stacks import layers
from stacks.others import ENGINE
from toolchain import paths
from toolchain.errors import WrongInputError

ROOT = paths.PROJECT
"""The project that this program works on: its own checkout, or the user's."""
PROJECT_FILE = paths.PROJECT_FILE
CONFIG_FOLDER = "stacks/config"
CONFIG = "config"
KEPT_BY_ENGINE = ("encryptionsalt", "encryptedkey", "secretsprovider")
"""Keys that the engine adds to a stack file beside `config:`."""


class StackFileError(WrongInputError, ValueError):
    """A stack file is missing or is not what the engine would read."""


def path(stack: str, root: Path | None = None) -> Path:
    """Return the path of the stack's file, whether it exists or not."""
    return (root or ROOT) / name(stack)


def name(stack: str) -> str:
    """The file's path in the checkout, as messages have it."""
    return f"{CONFIG_FOLDER}/Pulumi.{stack}.yaml"


def known(root: Path | None = None) -> list[str]:
    """Names of all stacks that have a file, in the order of their layers."""
    files = ((root or ROOT) / CONFIG_FOLDER).glob("Pulumi.*.yaml")
    names = [file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in files]
    order = {layer: position for position, layer in enumerate(layers.LAYERS)}
    names = [name for name in names if name.split(".")[0] in order]
    return sorted(names, key=lambda name: (order[name.split(".")[0]], name))


def project(root: Path | None = None) -> dict[str, Any]:
    """Content of the project's file; StackFileError if it is none."""
    file = (root or ROOT) / PROJECT_FILE
    if not file.is_file():
        raise StackFileError(
            f"there is no {file}, nor one in a folder above: run the command in your "
            "project, or write the file (docs/how-to/install.md)"
        )
    content = read(file)
    if not content.get("name"):
        raise StackFileError(f"{PROJECT_FILE}: it has no name")
    return content


def project_name(root: Path | None = None) -> str:
    """The Pulumi project's name."""
    return str(project(root)["name"])


def load(stack: str, root: Path | None = None) -> dict[str, Any]:
    """Content of the stack's file; StackFileError with what to do if there is none."""
    layers.split(stack)
    file = path(stack, root)
    if not file.is_file():
        raise StackFileError(
            f"there is no stack {stack}: {file} does not exist; known stacks: "
            f"{', '.join(known(root)) or 'none'}. Copy one of their files to it"
        )
    content = read(file)
    if not isinstance(content.get("config") or {}, dict):
        raise StackFileError(f"{file}: the top level and `config:` must be mappings")
    return content


def read(file: Path) -> dict[str, Any]:
    """A file whose top level is a mapping; an empty one has nothing in it."""
    try:
        content = yaml_text.read_file(file, str(file))
    except (OSError, ValueError) as error:  # ValueError: of YAML, or no text at all
        raise StackFileError(f"{error}") from None
    if not isinstance(content, dict | None):
        raise StackFileError(f"{file}: the top level and `config:` must be mappings")
    return content or {}


def unread(content: Mapping[str, Any], root: Path | None = None) -> Iterator[Problem]:
    """Report keys of the stack file or the project that programs would not see."""
    yield from _outside(content)
    yield from _of_project(root)


def _outside(content: Mapping[str, Any]) -> Iterator[Problem]:
    """Report keys of a stack file beside `config:`."""
    for key in content:
        if key == "environment":
            yield Problem(
                path=key,
                value=content[key],
                reason="only `pulumi up` passes values of Pulumi ESC to the program",
                fix="move them into config:, secrets by `pulumi config set --secret`",
            )
        elif key not in (CONFIG, *KEPT_BY_ENGINE):
            meant = nearest(str(key), (CONFIG, *KEPT_BY_ENGINE))
            yield Problem(
                path=str(key),
                value=content[key],
                reason="the engine does not read it",
                fix=f"did you mean {meant}?" if meant else f"move it into {CONFIG}:",
            )


def _of_project(root: Path | None) -> Iterator[Problem]:
    """Configuration in the project's file, which only the engine adds to a stack's."""
    if not ((root or ROOT) / PROJECT_FILE).is_file():
        return
    for key, value in (project(root).get(CONFIG) or {}).items():
        if not str(key).startswith(f"{ENGINE}:"):
            yield Problem(
                path=f"{PROJECT_FILE} {CONFIG}.{key}",
                value=value,
                reason="only `pulumi up` passes it to the program",
                fix="write it into the stack file",
            )
