"""Python's search path for the model server and its extension for trees."""

from __future__ import annotations

import subprocess
import sys

from slipway.images.table import images
from slipway.images.tree_extension import folder as compiled
from toolchain import paths
from toolchain.errors import OperatorError

_extension: list[str] = []


def extend() -> None:
    """Let this process import the model server."""
    sys.path += [it for it in folders() if it not in sys.path]


def add_extension() -> str:
    """Let it import the extension too; why it cannot, or nothing.

    The first call compiles it, for which a compiler of 100 MB is fetched.
    """
    try:
        _extension[:] = [str(compiled())]
    except (OperatorError, subprocess.SubprocessError, OSError) as error:
        return f"the extension of the model server cannot be compiled: {error}"
    extend()
    return ""


def folders() -> list[str]:
    """Folders of this project, of the model server, and of the extension if it is."""
    return [str(paths.ROOT), str(images()["model-server"].folder), *_extension]
