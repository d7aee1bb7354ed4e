"""Stack files as commands see them: all of it is `stacks.files` and `stacks.config`."""

from __future__ import annotations

from stacks.config import program_config
from stacks.files import (
    CONFIG_FOLDER,
    PROJECT_FILE,
    StackFileError,
    known,
    load,
    name,
    path,
    project_name,
    read,
)
from stacks.values import encoded, encrypted

__all__ = (
    "CONFIG_FOLDER",
    "PROJECT_FILE",
    "StackFileError",
    "encoded",
    "encrypted",
    "known",
    "load",
    "name",
    "path",
    "program_config",
    "project_name",
    "read",
)
