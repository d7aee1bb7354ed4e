"""The machine's pip configuration for builds, kept out of the image."""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")
"""Settings by which a build reaches the same index as this machine."""
SETTINGS, AUTHORITY = "pip.conf", "ca.crt"
"""Ids of the secrets; a Containerfile that runs pip mounts both."""
AUTHORITY_FILE = f"/run/secrets/{AUTHORITY}"
"""Path in a build of the authority that this machine's pip trusts."""


@contextmanager
def pip_secrets(containerfile: Path) -> Iterator[list[str]]:
    """The options that give a build pip's settings; none if it does not ask for them.

    Docker, Podman and buildah take the same ones. The authority (`cert` in pip's
    settings) is for networks whose proxy inspects TLS.
    """
    if f"id={SETTINGS}" not in containerfile.read_text():
        yield []
        return
    found = pip_settings()
    with tempfile.TemporaryDirectory(prefix="slipway-build-") as folder:
        settings = Path(folder) / SETTINGS
        settings.touch(mode=0o600)
        settings.write_text(pip_configuration(found))
        options = ["--secret", f"id={SETTINGS},src={settings}"]
        if "cert" in found:
            options += ["--secret", f"id={AUTHORITY},src={found['cert']}"]
        yield options


def pip_configuration(settings: Mapping[str, str]) -> str:
    """A pip.conf with this machine's index, as a build can use it."""
    given = {k: v for k, v in settings.items() if k in PIP_SETTINGS}
    if "cert" in settings:
        given["cert"] = AUTHORITY_FILE
    lines = [
        f"{k} = {v.strip().replace(chr(10), chr(10) + '    ')}"
        for k, v in given.items()
    ]
    return "\n".join(["[global]", *lines, ""])


def pip_settings() -> dict[str, str]:
    """Pip's settings by name, from its files and its environment."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = {}
    # The environment's lines, which come first, win in pip.
    for line in sorted(done.stdout.splitlines(), key=lambda line: line[:1] == ":"):
        key, _, value = line.partition("=")
        found[key.rpartition(".")[2]] = str(ast.literal_eval(value))
    return found
