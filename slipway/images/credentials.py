"""The log-ins to registries that docker, podman and buildah keep for a user.

The format: https://docs.docker.com/reference/cli/docker/login/#credential-stores
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HELPER_SECONDS = 20
IDENTITY = "<token>"
"""The user's name with which a helper gives a token in place of a password."""


def of(host: str) -> tuple[str, str] | None:
    """User and password for a registry, or None where nobody has logged in.

    host: host[:port] as in references.
    """
    for file in _files():
        try:
            found = json.loads(file.read_text())
        except (OSError, ValueError):
            continue
        if known := _in(found, host):
            return known
    return None


def _files() -> Iterator[Path]:
    if given := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(given)
    if given := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(given) / "containers" / "auth.json"
    yield Path.home() / ".config" / "containers" / "auth.json"
    given = os.environ.get("DOCKER_CONFIG")
    yield (Path(given) if given else Path.home() / ".docker") / "config.json"


def _in(config: dict[str, Any], host: str) -> tuple[str, str] | None:
    helper = config.get("credHelpers", {}).get(host) or config.get("credsStore")
    if helper and (found := _of_helper(helper, host)):
        return found
    for key, entry in config.get("auths", {}).items():
        named = key.removeprefix("https://").partition("/")[0]
        if named == host and entry.get("auth"):
            user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
            return user, password
    return None


def _of_helper(helper: str, host: str) -> tuple[str, str] | None:
    """Return the output of `docker-credential-HELPER get`; None without an entry."""
    try:
        done = subprocess.run(
            [f"docker-credential-{helper}", "get"],
            input=host,
            capture_output=True,
            text=True,
            timeout=HELPER_SECONDS,
            check=True,
        )
        said = json.loads(done.stdout)
        user, password = said["Username"], said["Secret"]
    except (OSError, ValueError, KeyError, subprocess.SubprocessError):
        return None
    return None if user == IDENTITY else (user, password)
