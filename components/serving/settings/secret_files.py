"""Files of Secrets in a pod: one projected volume for each folder that has some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.serving.settings.secret_folders import root
from components.serving.settings.secret_settings import SecretUse

MODE = 0o440
"""Owner root, group the pod's own (fsGroup): its programs read, nobody else does."""

Pair = tuple[dict[str, Any], dict[str, Any]]


def of(secrets: Mapping[str, SecretUse], names: Mapping[str, str]) -> list[Pair]:
    """Volumes and mounts; `names`: the Secret in the cluster, by that in the settings.

    In the order of folders, Secrets and paths: the engine hands over mappings sorted.
    """
    files = [file for use in secrets.values() for file in use.files]
    pairs: list[Pair] = []
    for number, mount in enumerate(sorted({root(file, files) for file in files})):
        sources = []
        for secret in sorted(secrets):
            items = [
                {"key": key, "path": file.removeprefix(f"{mount}/")}
                for file, key in sorted(secrets[secret].files.items())
                if root(file, files) == mount
            ]
            if items:
                sources.append({"secret": {"name": names[secret], "items": items}})
        name = f"secrets-{number}"
        projected = {"sources": sources, "defaultMode": MODE}
        pairs.append(
            (
                {"name": name, "projected": projected},
                {"name": name, "mountPath": mount, "readOnly": True},
            )
        )
    return pairs
