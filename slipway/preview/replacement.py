"""Whether a provider replaces a resource for a change, as far as that is known.

The engine asks the provider. Here a table with source and date (replacement.yaml)
answers without any program; other cases are reported as unknown.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.yaml_text import read
from slipway.rendering.recorder import KUBERNETES, Resource

TABLE = Path(__file__).with_name("replacement.yaml")
PROVIDER = "pulumi:providers:"
UNKNOWN = "may be replaced: not known"
Certainty = Literal["replaced", "unknown", "updated"]


@dataclass(frozen=True)
class Judgement:
    """The result for a resource, and the paths that decide it."""

    certainty: Certainty
    paths: tuple[str, ...] = ()


@functools.cache
def table() -> dict[str, Any]:
    """Content of replacement.yaml."""
    content: dict[str, Any] = read(TABLE.read_text(), TABLE.name)
    return content


def judge(before: Resource, after: Resource, paths: Sequence[str]) -> Judgement:
    """Determine whether the provider replaces the resource when these paths change."""
    replacing, updating = _known(before, after)
    replaced = tuple(path for path in paths if covered(path, replacing))
    if replaced:
        return Judgement("replaced", replaced)
    if updating is None:
        return Judgement("updated")
    unknown = tuple(path for path in paths if not covered(path, updating))
    return Judgement("unknown", unknown) if unknown else Judgement("updated")


def replacing(resource: Resource) -> Sequence[str]:
    """Paths that make the provider replace the resource."""
    return _known(resource, resource)[0]


def _known(
    before: Resource, after: Resource
) -> tuple[Sequence[str], Sequence[str] | None]:
    """Paths that replace, and those that update; None: all others do."""
    if after.type.startswith(KUBERNETES):
        known = _kind(after) not in table()["kubernetes"]["not_known"]
        return _of_kubernetes(before, after), None if known else ["metadata"]
    found = table()["aws"]["types"].get(after.type, {})
    updating = [*found.get("update", ()), *table()["aws"]["every_type"]]
    return found.get("replace", ()), updating


def _of_kubernetes(before: Resource, after: Resource) -> Sequence[str]:
    held = table()["kubernetes"]
    paths = [*held["every_kind"], *held["kinds"].get(_kind(after), ())]
    immutable = before.inputs.get("immutable") or after.inputs.get("immutable")
    return [*paths, *held["immutable"]] if immutable else paths


def _kind(resource: Resource) -> str:
    """API group and kind, such as apps/Deployment."""
    _, version, kind = resource.type.split(":")
    return f"{version.rpartition('/')[0]}/{kind}"


def covered(path: str, known: Iterable[str]) -> bool:
    """Return whether the path is a known one, is below one, or contains one."""
    parts = path.replace("[", ".[").split(".")
    return any(
        all(a == b for a, b in zip(parts, other.split("."), strict=False))
        for other in known
    )


def holds_data(resource: Resource) -> bool:
    """Return whether deleting the resource loses more than its definition."""
    templates = (resource.inputs.get("spec") or {}) if _is_set(resource) else {}
    return resource.type in table()["holds_data"] or bool(
        templates.get("volumeClaimTemplates")
    )


def _is_set(resource: Resource) -> bool:
    return resource.type == "kubernetes:apps/v1:StatefulSet"
