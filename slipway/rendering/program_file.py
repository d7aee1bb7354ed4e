"""A user's own Pulumi program as a function, to be rendered like a layer's."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path


def of(file: Path) -> Callable[[], None]:
    """A function that runs the file as `pulumi up` would: its folder first on the path.

    It raises what the program raises.
    """

    def run() -> None:
        folder = str(file.resolve().parent)
        sys.path.insert(0, folder)
        try:
            runpy.run_path(str(file), run_name="__main__")
        finally:
            sys.path.remove(folder)

    return run
