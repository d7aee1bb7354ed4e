"""Repair the state of a killed run, so that the next run can continue from it.

Before each change the engine notes it as pending. A note that stands says that the run
was killed in between: whether the change took place is not known. Updates and deletions
are simply done again. A creation may have left an object that the state knows nothing
of, so Kubernetes objects (whose id is known beforehand: namespace and name) are entered
as created, and the refresh that follows takes out those that do not exist.

The provider applies each object under a field manager with a random name, which it
keeps in the state. That name was lost with the run; the API server knows it, and
without it each later change of the object would be a conflict with ourselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from slipway import progress
from slipway.rendering.recorder import KUBERNETES

_MANAGER = "__fieldManager"


@dataclass
class Recovered:
    """A state without pending operations, and the result of each operation."""

    state: dict[str, Any]
    adopted: list[str] = field(default_factory=list)
    """Objects whose creation was interrupted; a refresh shows whether they exist."""
    repeated: list[str] = field(default_factory=list)
    """Updates and deletions that the next run repeats."""
    unknown: list[str] = field(default_factory=list)
    """Creations whose result only the provider's own tools can show."""


def pending(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the operations that began and never ended."""
    return list((state.get("deployment") or {}).get("pending_operations") or [])


def recover(state: dict[str, Any]) -> Recovered:
    """Return a complete copy of an interrupted run's state."""
    deployment = dict(state.get("deployment") or {})
    resources = list(deployment.get("resources") or [])
    deployment.pop("pending_operations", None)
    result = Recovered({**state, "deployment": deployment})
    known = {resource["urn"] for resource in resources}
    for operation in pending(state):
        resource = operation["resource"]
        name = progress.label(resource["urn"])
        if operation["type"] != "creating":
            result.repeated.append(f"{operation['type']} {name}")
        elif resource["urn"] in known:  # a replacement: the state has its predecessor
            result.repeated.append(f"replacing {name}")
        elif resource["type"].startswith(KUBERNETES):
            resources.append(_as_created(resource))
            result.adopted.append(name)
        elif resource.get("custom"):
            result.unknown.append(resource["urn"])
    deployment["resources"] = resources
    return result


def _as_created(resource: dict[str, Any]) -> dict[str, Any]:
    inputs = resource.get("inputs") or {}
    metadata = inputs.get("metadata") or {}
    parts = [metadata.get("namespace"), metadata.get("name")]
    outputs = {**inputs, "__initialApiVersion": inputs.get("apiVersion", "")}
    return {
        **resource,
        "id": "/".join(part for part in parts if part),
        "outputs": outputs,
    }


def with_real_managers(state: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The refreshed state with the field managers that the objects really have.

    Also says whether that changed anything.
    """
    deployment = dict(state.get("deployment") or {})
    resources = list(deployment.get("resources") or [])
    changed = False
    for position, resource in enumerate(resources):
        outputs = resource.get("outputs") or {}
        real = _managers(outputs)
        if len(real) == 1 and outputs.get(_MANAGER) not in real:
            taken = {**outputs, _MANAGER: real[0]}
            resources[position] = {**resource, "outputs": taken}
            changed = True
    deployment["resources"] = resources
    return {**state, "deployment": deployment}, changed


def _managers(outputs: dict[str, Any]) -> list[str]:
    """Return the managers of the provider's kind that applied the object."""
    if _MANAGER not in outputs:
        return []
    metadata = outputs.get("metadata")
    fields = metadata.get("managedFields", []) if isinstance(metadata, dict) else []
    return [
        field["manager"]
        for field in fields
        if field.get("operation") == "Apply"
        and str(field.get("manager", "")).startswith("pulumi-kubernetes-")
    ]


def report(recovered: Recovered, say: Callable[[str], None]) -> None:
    """Report what an earlier run left, and the next steps."""
    if recovered.adopted:
        say(
            "An earlier run was killed while creating "
            f"{', '.join(recovered.adopted)}: looking whether they exist."
        )
    if recovered.repeated:
        say(f"Begun by an earlier run, done again: {', '.join(recovered.repeated)}.")
