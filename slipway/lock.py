"""Resolves requirements-dev.txt anew and writes every version into constraints.txt.

python -m slipway.lock
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from lab import paths

HEAD = "# Every distribution that requirements-dev.txt resolves to, by `make lock`.\n"


def resolve() -> list[str]:
    """Pinned lines `name==version` of a fresh resolution of the direct pins."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("requirements.txt", "requirements-dev.txt"):
            text = (paths.ROOT / name).read_text()
            (Path(folder) / name).write_text(text.replace("-c constraints.txt", ""))
        report = Path(folder) / "report.json"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        wanted = str(Path(folder) / "requirements-dev.txt")
        subprocess.run(
            [*pip, "--ignore-installed", "--report", str(report), "-r", wanted],
            check=True,
        )
        found = json.loads(report.read_text())["install"]
    pins = (f"{m['metadata']['name']}=={m['metadata']['version']}" for m in found)
    return sorted(pins, key=str.lower)


def main() -> int:
    target = paths.ROOT / "constraints.txt"
    lines = resolve()
    target.write_text(HEAD + "\n".join(lines) + "\n")
    print(f"{target}: {len(lines)} distributions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
