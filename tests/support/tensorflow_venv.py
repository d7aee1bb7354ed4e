"""TensorFlow as the image model-server-tensorflow has it, installed on demand."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.model_server import SERVER, ModelServer
from toolchain import own_venv, paths

REQUIREMENTS = paths.ROOT / "images/model_server_tensorflow/requirements.txt"
WANTED = "SLIPWAY_TENSORFLOW"
"""Variable of the environment that has it installed (1.2 GB) where it is not."""
SECONDS = 300.0
"""To import TensorFlow takes 5 seconds on a calm machine, and 44 on a busy one."""


def reason_to_skip() -> str:
    """Why TensorFlow cannot run here; empty if it can."""
    if not own_venv.is_here(REQUIREMENTS) and WANTED not in os.environ:
        return f"TensorFlow is not installed: {WANTED}=1 installs 1.2 GB into the cache"
    return ""


@functools.cache
def _libraries() -> tempfile.TemporaryDirectory[str]:
    """The server's own libraries, and nothing else that is installed here."""
    folder = tempfile.TemporaryDirectory(prefix="slipway-server-libraries-")
    for line in (SERVER / "requirements.txt").read_text().splitlines():
        name, found, _ = line.partition("==")
        if not found:
            continue
        for file in importlib.metadata.files(name) or ():
            top, root = file.parts[0], Path(str(file.locate())).parents
            target = Path(folder.name, top)
            if top != ".." and not target.is_symlink():
                target.symlink_to(root[len(file.parts) - 1] / top)
    return folder


def environment() -> dict[str, str]:
    """The server and its libraries, which the image has below TensorFlow's."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(SERVER), _libraries().name]),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python with TensorFlow; return how it ended and what it wrote."""
    # Not the script's own folder: its platform.py would hide Python's.
    command = [str(own_venv.python(REQUIREMENTS)), "-P", *map(str, words)]
    return subprocess.run(
        command,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class TensorFlowServer(ModelServer):
    """The real server with TensorFlow."""

    start_seconds = SECONDS

    def __init__(self, models: Path, log: Path, **settings: Any) -> None:
        super().__init__(models, log, **settings)
        own: Mapping[str, str] = environment()
        self.environment = {**self.environment, **own}
        # TensorFlow's own modules warn.
        del self.environment["PYTHONWARNINGS"]
        self.command[0] = str(own_venv.python(REQUIREMENTS))
