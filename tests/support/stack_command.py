"""`slipway` as a process, with the stack files of a test's own folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from toolchain import paths

CODE = (
    "import sys; from pathlib import Path; from stacks import files; "
    "files.ROOT = Path(sys.argv.pop(1)); from slipway.cli import main; main()"
)


def start(root: Path, *words: str) -> subprocess.Popen[str]:
    """Start the command; its output has both streams.

    root: folder of `OwnStack`.
    """
    return subprocess.Popen(
        [sys.executable, "-c", CODE, str(root), *words],
        cwd=paths.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str], seconds: float) -> tuple[int, str]:
    """Wait for the end of a command, and kill it after that time.

    Returns its exit status and its output.
    """
    try:
        said, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, said
