"""Pinned versions of EKS add-ons, from addon_versions.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from components.yaml_text import read

FILE = Path(__file__).with_name("addon_versions.yaml")
_CONTENT: dict[str, Any] = read(FILE.read_text(), FILE.name)

AS_OF: str = _CONTENT["as_of"]
"""The day at which the table was last looked over."""
PINNED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        kubernetes: MappingProxyType(
            {name: entry["version"] for name, entry in addons.items()}
        )
        for kubernetes, addons in _CONTENT["versions"].items()
    }
)
"""Add-on to full version, by Kubernetes' minor version."""
UNCONFIRMED: frozenset[tuple[str, str]] = frozenset(
    (entry["kubernetes"], entry["addon"]) for entry in _CONTENT["unconfirmed"]
)
"""(Kubernetes version, add-on) of which no page showed this version."""
