"""checkov in an environment of its own, made once and kept in the cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from lab import paths
from lab.locks import locked

REQUIREMENTS = paths.ROOT / "tests" / "policy" / "requirements-checkov.txt"
INSTALL_SECONDS = 600
RUN_SECONDS = 600


def _python() -> Path:
    """The environment's interpreter; installs on the first call."""
    key = hashlib.sha256(sys.version.encode() + REQUIREMENTS.read_bytes())
    target = paths.cache() / "venv-checkov" / key.hexdigest()[:16]
    python, ready = target / "bin" / "python", target / ".ready"
    with locked(target.parent / "lock"):
        if not ready.exists():
            venv.create(target, with_pip=True, clear=True)
            install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps"]
            subprocess.run(
                [*install, "--requirement", str(REQUIREMENTS)],
                check=True,
                timeout=INSTALL_SECONDS,
            )
            ready.touch()
    return python


def kubernetes(folder: Path) -> dict[str, Any]:
    """The report on all manifests below a folder; nothing is asked of the network."""
    arguments = ["--framework", "kubernetes", "--skip-download", "--compact"]
    done = subprocess.run(
        [_python(), "-m", "checkov.main", "-d", folder, *arguments, "-o", "json"],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
        cwd=folder,
        # Else it looks for a newer version of itself.
        env={k: v for k, v in os.environ.items() if not k.startswith("BC_")}
        | {"CKV_IGNORE_HIDDEN_DIRECTORIES": "true", "ANSI_COLORS_DISABLED": "1"},
    )
    # 1: checks failed, which the report says in full.
    assert done.returncode in (0, 1), done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout)
    return report
