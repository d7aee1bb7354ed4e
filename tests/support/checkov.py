"""checkov in an environment of its own, made once and kept in the cache folder."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from toolchain import own_venv, paths

REQUIREMENTS = paths.ROOT / "tests" / "policy" / "requirements-checkov.txt"
RUN_SECONDS = 600


def kubernetes(folder: Path) -> dict[str, Any]:
    """The report on all manifests below a folder; nothing is asked of the network."""
    return _report("kubernetes", folder)


def terraform(folder: Path) -> dict[str, Any]:
    """The report on all of Terraform's files below a folder."""
    return _report("terraform", folder)


def _report(framework: str, folder: Path) -> dict[str, Any]:
    arguments = ["--framework", framework, "--skip-download", "--compact"]
    program = [str(own_venv.python(REQUIREMENTS)), "-m", "checkov.main"]
    done = subprocess.run(
        [*program, "-d", folder, *arguments, "-o", "json"],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
        cwd=folder,
        # Else it looks for a newer version of itself.
        env={k: v for k, v in os.environ.items() if not k.startswith("BC_")}
        | {"CKV_IGNORE_HIDDEN_DIRECTORIES": "true", "ANSI_COLORS_DISABLED": "1"}
        # Its 10 seconds for a file are too few on a busy machine.
        | {"HCL_PARSE_TIMEOUT_SEC": str(RUN_SECONDS)},
    )
    # 1: checks failed, which the report says in full.
    assert done.returncode in (0, 1), done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout)
    return report
