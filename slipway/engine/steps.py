"""The engine's steps on each resource, actual or planned, from its events.

The engine writes `[secret]` in place of values that are marked as secret
(`BlindingCrypter`, pulumi 3.259). An output that a provider derives from one may lack
the mark, so a resource's values are shown only if none of them is secret.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulumi.automation.events import (
    EngineEvent,
    StepEventMetadata,
    StepEventStateMetadata,
)

from slipway.rendering import manifests
from slipway.rendering.recorder import MARK, Resource

NOTHING = "nothing"
VERDICTS = {
    "create": "created",
    "import": "created",
    "delete": "deleted",
    "same": NOTHING,
    "update": "changed",
    "replace": "replaced",
}
"""The engine's operations, by the effect on the resource; all others are parts of one
of these, or only read."""


@dataclass(frozen=True)
class Verdict:
    """The engine's planned change of one resource; no values."""

    type: str
    name: str
    """`namespace/name` in a cluster, otherwise the resource's name in its stack."""
    verdict: str
    """`created`, `deleted`, `changed` or `replaced`."""
    paths: tuple[str, ...] = ()
    """Properties that differ."""
    replacing: tuple[str, ...] = ()
    """Properties that make the provider replace the resource."""


class Steps:
    """The last step of each resource; `on_event` takes the engine's events."""

    def __init__(self) -> None:
        self._found: dict[str, StepEventMetadata] = {}
        self._lock = threading.Lock()

    def on_event(self, event: EngineEvent) -> None:
        """Process one event; called from other threads."""
        done = event.res_outputs_event
        if done is not None and done.metadata.op.value in VERDICTS:
            with self._lock:
                self._found[done.metadata.urn] = done.metadata

    @property
    def of_providers(self) -> list[StepEventMetadata]:
        """Return the steps of resources with a provider, by URN."""
        with self._lock:
            found = sorted(self._found.items())
        return [step for _, step in found if is_made(step)]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Return the planned changes, without unchanged resources."""
        found = (_verdict(step) for step in self.of_providers)
        return tuple(one for one in found if one.verdict != NOTHING)


def _verdict(step: StepEventMetadata) -> Verdict:
    return Verdict(
        type=step.type,
        name=manifests.shown_name(resource(known(step))),
        verdict=VERDICTS[step.op.value],
        paths=tuple(paths(step)),
        replacing=tuple(replacing(step)),
    )


def is_made(step: StepEventMetadata) -> bool:
    """Return whether it has a provider: no component, no resource of the engine."""
    return bool(known(step).custom) and not step.type.startswith("pulumi:")


def known(step: StepEventMetadata) -> StepEventStateMetadata:
    """Return the resource after the step, or before it if it is deleted."""
    found = step.new or step.old
    assert found is not None, "each step has a state"
    return found


def resource(state: StepEventStateMetadata) -> Resource:
    """Return a resource in the form of a rendering."""
    return Resource(
        urn=state.urn,
        type=state.type,
        name=state.urn.rpartition("::")[2],
        inputs=dict(state.inputs or {}),
        custom=bool(state.custom),
        has_secrets=holds_secrets(state.inputs) or holds_secrets(state.outputs),
        protect=bool(state.protect),
        retain=bool(state.retain_on_delete),
    )


def holds_secrets(properties: Mapping[str, Any] | None) -> bool:
    """Return whether the engine marked one of the values as secret."""
    return f'"{MARK}"' in json.dumps(properties)


def paths(step: StepEventMetadata) -> list[str]:
    """Return the properties that differ: exact paths if the provider reports them."""
    return sorted(step.detailed_diff or step.diffs or ())


def replacing(step: StepEventMetadata) -> list[str]:
    """Return the paths for which the provider replaces the resource."""
    exact = (step.detailed_diff or {}).items()
    found = [path for path, one in exact if one.diff_kind.value.endswith("-replace")]
    return sorted(found or step.keys or ())
