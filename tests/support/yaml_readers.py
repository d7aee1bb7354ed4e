"""What the Go programs that read our YAML make of it: asked of their own libraries.

The program beside this file is built once into the cache folder. The library of
Pulumi's engine is gopkg.in/yaml.v3, Kubernetes' and helm's is sigs.k8s.io/yaml.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from toolchain import paths

SOURCE = Path(__file__).with_name("go_yaml")
BUILD_SECONDS = 300


def _binary() -> Path:
    content = b"".join(f.read_bytes() for f in sorted(SOURCE.iterdir()) if f.is_file())
    digest = hashlib.sha256(content).hexdigest()[:16]
    binary = paths.cache() / "build" / f"go-yaml-{digest}"
    if binary.is_file():
        return binary
    if shutil.which("go") is None:
        pytest.skip("go is not on PATH, so that its readers of YAML cannot be asked")
    caches = paths.cache() / "build"
    caches.mkdir(parents=True, exist_ok=True)
    part = binary.with_name(f"{binary.name}.{os.getpid()}")
    environment = {
        **os.environ,
        "GOCACHE": str(caches / "go-build"),
        "GOMODCACHE": str(caches / "mod"),
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    done = subprocess.run(
        # As the lab's programs are built, so that they share what is compiled.
        ["go", "build", "-trimpath", "-o", str(part), "."],
        cwd=SOURCE,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    part.replace(binary)
    return binary


class Readers:
    """The running program; it ends with the tests that use it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [_binary()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, text: str) -> dict[str, Any]:
        """What `engine` and `kubernetes` read: ["text", value] or [Go's type, value]
        in place of each scalar, or {"error": reason}."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        self._process.communicate()
